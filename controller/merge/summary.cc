#include "controller/merge/summary.h"

#include <algorithm>
#include <cmath>

namespace broadside::merge {

RankInterval RankInterval95(uint64_t n, stats::Ppm ppm) {
  const double p = static_cast<double>(ppm) / 1e6;
  const double middle = static_cast<double>(n) * p;
  const double half = 1.96 * std::sqrt(middle * (1 - p));
  return {static_cast<uint64_t>(std::max(0.0, std::floor(middle - half))),
          static_cast<uint64_t>(std::ceil(middle + half)) + 1};
}

report::Summary Summarise(const stats::Histogram& histogram, uint64_t unanswered) {
  report::Summary summary;
  summary.n = histogram.n();
  summary.censored = unanswered;
  if (histogram.n() > 0) {
    summary.min = histogram.exact().min;
    summary.max = histogram.exact().max;
    summary.mean = histogram.Mean();
  }
  const auto percentile = [&](stats::Ppm ppm, std::optional<int64_t>& value, bool& censored) {
    value = histogram.Percentile(ppm, unanswered);
    censored = !value && histogram.n() + unanswered > 0;
  };
  percentile(500'000, summary.p50, summary.p50_censored);
  percentile(900'000, summary.p90, summary.p90_censored);
  percentile(950'000, summary.p95, summary.p95_censored);
  percentile(990'000, summary.p99, summary.p99_censored);
  percentile(999'000, summary.p999, summary.p999_censored);
  const uint64_t all = histogram.n() + unanswered;
  const RankInterval ranks = RankInterval95(all, 990'000);
  if (ranks.low >= 1 && ranks.high <= all) {
    summary.p99_low = histogram.ValueAtRank(ranks.low);
    summary.p99_high = histogram.ValueAtRank(ranks.high);
  }
  return summary;
}

std::vector<report::Bar> MakeBars(const stats::Histogram& histogram, int bins) {
  if (histogram.n() == 0 || bins < 1) return {};
  const int64_t min = histogram.exact().min;
  const int64_t max = histogram.exact().max;
  const double low = std::log(static_cast<double>(std::max<int64_t>(1, min)));
  const double step = (std::log(static_cast<double>(std::max<int64_t>(1, max))) - low) / bins;
  std::vector<report::Bar> bars;
  int64_t from = min;
  for (int i = 1; i <= bins; ++i) {
    // Bars end where slots end, so that no slot is split.
    const auto edge = static_cast<int64_t>(std::exp(low + step * i));
    const int64_t to =
        i == bins ? max : std::min(max, stats::SlotHigh(stats::SlotOf(std::max<int64_t>(0, edge))));
    if (to < from) continue;
    bars.push_back({from, to, 0});
    if (to == max) break;
    from = to + 1;
  }
  size_t bar = 0;
  for (int32_t slot = 0; slot < histogram.slots_used(); ++slot) {
    const uint64_t count = histogram.CountAt(slot);
    if (count == 0) continue;
    const int64_t value = std::clamp(stats::SlotLow(slot), min, max);
    while (bar + 1 < bars.size() && value > bars[bar].high) ++bar;
    bars[bar].count += count;
  }
  return bars;
}

}  // namespace broadside::merge
