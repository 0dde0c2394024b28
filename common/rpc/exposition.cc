#include "common/rpc/exposition.h"

#include <prometheus/text_serializer.h>

#include <limits>

#include "common/base/check.h"

namespace broadside::rpc {

prometheus::ClientMetric& Exposition::Add(const MetricFamilyInfo& family,
                                          prometheus::MetricType type, MetricLabels labels) {
  const auto [position, added] = positions_.try_emplace(family.name, families_.size());
  if (added) {
    families_.push_back({.name = family.name, .help = family.help, .type = type, .metric = {}});
  }
  prometheus::MetricFamily& into = families_[position->second];
  BROADSIDE_CHECK(into.type == type);
  prometheus::ClientMetric& metric = into.metric.emplace_back();
  for (auto& [name, value] : labels) metric.label.push_back({std::move(name), std::move(value)});
  return metric;
}

void Exposition::Counter(const MetricFamilyInfo& family, MetricLabels labels, double value) {
  Add(family, prometheus::MetricType::Counter, std::move(labels)).counter.value = value;
}

void Exposition::Gauge(const MetricFamilyInfo& family, MetricLabels labels, double value) {
  Add(family, prometheus::MetricType::Gauge, std::move(labels)).gauge.value = value;
}

void Exposition::Histogram(const MetricFamilyInfo& family, MetricLabels labels, uint64_t n,
                           double sum, std::span<const MetricBucket> buckets) {
  prometheus::ClientMetric::Histogram& into =
      Add(family, prometheus::MetricType::Histogram, std::move(labels)).histogram;
  into.sample_count = n;
  into.sample_sum = sum;
  for (const MetricBucket& bucket : buckets) {
    into.bucket.push_back(
        {.cumulative_count = bucket.at_or_below, .upper_bound = bucket.upper_bound});
  }
  into.bucket.push_back(
      {.cumulative_count = n, .upper_bound = std::numeric_limits<double>::infinity()});
}

std::string Exposition::Text() const { return prometheus::TextSerializer().Serialize(families_); }

}  // namespace broadside::rpc
