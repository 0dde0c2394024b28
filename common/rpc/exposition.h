#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// One scrape's worth of metrics, filled from values that others counted: nothing is observed here
/// per request. Families come out in the order of their first use, series in the order of adding.
namespace broadside::rpc {

struct MetricFamilyInfo {
  const char* name;
  const char* help;
};

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricBucket {
  double upper_bound = 0;  ///< in the family's unit
  uint64_t at_or_below = 0;
};

/// One thread. A family keeps the type of its first use; using it as another is a caller's bug.
class Exposition final : public prometheus::Collectable {
 public:
  void Counter(const MetricFamilyInfo& family, MetricLabels labels, double value);
  void Gauge(const MetricFamilyInfo& family, MetricLabels labels, double value);
  /// `n` values in all, whose sum is `sum`; the +Inf bucket is added.
  void Histogram(const MetricFamilyInfo& family, MetricLabels labels, uint64_t n, double sum,
                 std::span<const MetricBucket> buckets);

  std::vector<prometheus::MetricFamily> Collect() const override { return families_; }
  /// The text format, version 0.0.4.
  std::string Text() const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  prometheus::ClientMetric& Add(const MetricFamilyInfo& family, prometheus::MetricType type,
                                MetricLabels labels);
  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, size_t, std::less<>> positions_;
};

}  // namespace broadside::rpc
