#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/stats/histogram.h"

/// HdrHistogram's V2 and V2-compressed encodings. The decoders take bytes from anywhere: every
/// bound is checked, nothing allocates more than the layout needs, no input crashes them.
namespace broadside::stats {

/// Only the counts of V2 (ZigZag LEB128-64b9B, runs of zeros negative): what snapshots carry.
std::string EncodeCounts(const Histogram& histogram);
std::string EncodeCounts(const IntervalHistogram& histogram);
/// Adds decoded counts to `into` (its exact figures are left alone: they travel beside).
/// InvalidArgument says what is wrong and at which byte; `into` is then as it was.
Status DecodeCounts(std::string_view bytes, Histogram& into);
/// Adds counts and the exact figures that travelled beside them, after checking that they belong
/// together: n is the sum of the counts, min and max lie in the lowest and highest slot used, the
/// sum between n · min and n · max. On error `into` is as it was.
Status DecodeCounts(std::string_view bytes, const Exact& exact, Histogram& into);

/// A slot that is not empty.
struct SlotCount {
  int32_t slot = 0;
  uint64_t count = 0;
  friend bool operator==(const SlotCount&, const SlotCount&) = default;
};
/// The slots in use, rising, after the same checks; for callers that add one message to many
/// histograms.
StatusOr<std::vector<SlotCount>> DecodeSlots(std::string_view bytes, const Exact& exact);
/// `slots` must rise.
std::string EncodeSlots(const std::vector<SlotCount>& slots);

/// Whole V2 form: 40-byte header and counts. `EncodeV2Compressed` wraps it in zlib.
std::string EncodeV2(const Histogram& histogram);
std::string EncodeV2Compressed(const Histogram& histogram);
/// Reads both forms. The slot numbering must be ours (lowest 1, 3 digits; the highest value may
/// differ, it does not move slots); the normalizing offset is ignored on read. Exact figures are
/// not in the format: n is the sum of counts; min and max come from slot edges, sum from slot
/// middles.
StatusOr<Histogram> DecodeV2(std::string_view bytes);

std::string Base64Encode(std::string_view bytes);
StatusOr<std::string> Base64Decode(std::string_view text);

/// One line of an .hlog file.
struct LogInterval {
  std::string tag;     ///< empty when the line has none
  double start_s = 0;  ///< seconds since the Unix epoch, base and start time applied
  double length_s = 0;
  Histogram histogram;
};
/// Reads an .hlog (versions 1.0–1.3). Errors name the line. With a BaseTime, timestamps count from
/// it; without, they count from StartTime if the first one is more than a year before it, else from
/// the epoch.
StatusOr<std::vector<LogInterval>> ReadLog(std::string_view text, const std::string& file_name);

}  // namespace broadside::stats
