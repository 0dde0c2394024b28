#pragma once

#include <vector>

#include "common/report/report.h"
#include "common/stats/histogram.h"

/// From histograms to what the report prints. Pure.
namespace broadside::merge {

/// `unanswered` values rank as slower than any bound.
report::Summary Summarise(const stats::Histogram& histogram, uint64_t unanswered = 0);

struct RankInterval {
  uint64_t low = 0, high = 0;
};
/// 95 % interval of a percentile's rank among n independent samples, by the normal approximation:
/// floor(np − 1.96 √(np(1−p))) … ceil(np + 1.96 √(np(1−p))) + 1. The ends may lie outside 1 … n.
RankInterval RankInterval95(uint64_t n, stats::Ppm ppm);

/// About `bins` bars of equal width on a logarithmic axis from min to max, without gaps; none for
/// an empty histogram.
std::vector<report::Bar> MakeBars(const stats::Histogram& histogram, int bins = 12);

}  // namespace broadside::merge
