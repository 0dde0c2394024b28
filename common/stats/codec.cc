#include "common/stats/codec.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

namespace broadside::stats {
namespace {

constexpr uint32_t kCookie = 0x1c849313;            // V2, LEB128 payload
constexpr uint32_t kCompressedCookie = 0x1c849314;  // the same inside zlib
constexpr uint32_t kCookieMask = ~uint32_t{0xf0};
constexpr size_t kHeaderBytes = 40;
constexpr size_t kMaxVarintBytes = 9;
constexpr size_t kMaxV2Bytes = kHeaderBytes + kMaxVarintBytes * kSlots;
constexpr uint64_t kRatioOne = 0x3ff0000000000000;  // 1.0
constexpr uint64_t kRatioJs = 1;                    // what the JavaScript port writes for it
// Totals of one message stay far from 2⁶⁴, so that sums of many messages do too.
constexpr uint64_t kMaxTotal = uint64_t{1} << 56;

void PutBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

uint64_t GetBigEndian(std::string_view bytes, size_t at, size_t length) {
  uint64_t value = 0;
  for (size_t i = 0; i < length; ++i) {
    value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  }
  return value;
}

/// ZigZag LEB128-64b9B: 7 bits a byte, low first; a ninth byte holds the last 8 bits.
void PutVarint(std::string& out, int64_t value) {
  uint64_t rest = static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  for (size_t i = 0; i + 1 < kMaxVarintBytes; ++i) {
    if (rest < 0x80) {
      out.push_back(static_cast<char>(rest));
      return;
    }
    out.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7;
  }
  out.push_back(static_cast<char>(rest));
}

/// False when the bytes end first; `at` moves on.
bool GetVarint(std::string_view bytes, size_t& at, int64_t& value) {
  uint64_t zigzag = 0;
  for (size_t i = 0; i < kMaxVarintBytes; ++i) {
    if (at == bytes.size()) return false;
    const auto byte = static_cast<uint8_t>(bytes[at++]);
    const bool ninth = i + 1 == kMaxVarintBytes;
    zigzag |= static_cast<uint64_t>(ninth ? byte : byte & 0x7f) << (7 * i);
    if (ninth || byte < 0x80) break;
  }
  value = static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
  return true;
}

/// Writes counts slot after slot as the reference implementation does: a run of zeros as a negative
/// number, but a single zero as 0.
class CountWriter {
 public:
  void Put(int32_t slot, uint64_t count) {
    PutZeros(slot - next_);
    PutVarint(out_, static_cast<int64_t>(count));
    next_ = slot + 1;
  }
  /// An empty histogram is one zero slot.
  std::string Finish() {
    if (next_ == 0) PutZeros(1);
    return std::move(out_);
  }

 private:
  void PutZeros(int32_t zeros) {
    if (zeros > 0) PutVarint(out_, zeros > 1 ? -int64_t{zeros} : 0);
  }
  std::string out_;
  int32_t next_ = 0;
};

template <class AnyHistogram>
std::string EncodeRange(const AnyHistogram& histogram, int32_t first, int32_t end) {
  CountWriter writer;
  for (int32_t slot = first; slot < end; ++slot) {
    if (const uint64_t count = histogram.CountAt(slot); count > 0) writer.Put(slot, count);
  }
  return writer.Finish();
}

Status At(size_t byte, std::string what) {
  return InvalidArgument("histogram counts, byte " + std::to_string(byte) + ": " + what);
}

struct Span {
  uint64_t total = 0;
  int32_t first = 0;  ///< lowest and highest slot used; meaningless for total 0
  int32_t last = 0;
};

/// Reads all of `bytes` and calls `take(slot, count)` for each count above 0.
template <class Take>
StatusOr<Span> WalkCounts(std::string_view bytes, Take take) {
  Span span;
  int64_t slot = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t start = at;
    int64_t value = 0;
    if (!GetVarint(bytes, at, value)) return At(start, "the data ends inside a number");
    if (value < 0) {
      if (value < slot - kSlots) {
        return At(start, "a run of zeros goes past the last of " + std::to_string(kSlots) +
                             " slots; the layouts differ or the data is damaged");
      }
      slot -= value;
      continue;
    }
    if (slot >= kSlots) return At(start, "more than " + std::to_string(kSlots) + " slots");
    const auto count = static_cast<uint64_t>(value);
    if (count > kMaxTotal - span.total) return At(start, "the counts sum up to more than 2^56");
    if (count > 0) {
      const auto used = static_cast<int32_t>(slot);
      if (!take(used, count)) return At(start, "the count overflows 64 bits");
      if (span.total == 0) span.first = used;
      span.last = used;
      span.total += count;
    }
    ++slot;
  }
  return span;
}

/// Looks at everything without changing anything.
StatusOr<Span> CheckCounts(std::string_view bytes, const Histogram& into) {
  return WalkCounts(bytes, [&into](int32_t slot, uint64_t count) {
    return count <= std::numeric_limits<uint64_t>::max() - into.CountAt(slot);
  });
}

void AddCounts(std::string_view bytes, Histogram& into) {
  const auto span = WalkCounts(bytes, [&into](int32_t slot, uint64_t count) {
    into.AddSlot(slot, count);
    return true;
  });
  BROADSIDE_CHECK(span.ok());
}

Status CheckExact(const Exact& exact, const Span& span) {
  const auto refuse = [](const std::string& what) {
    return InvalidArgument("histogram: " + what + "; the data is damaged");
  };
  if (exact.n != span.total) {
    return refuse("n is " + std::to_string(exact.n) + " but the counts sum up to " +
                  std::to_string(span.total));
  }
  if (exact.n == 0) {
    return exact == Exact{} ? absl::OkStatus() : refuse("n is 0 but its sum, min or max is not");
  }
  if (exact.min < 0 || exact.max < exact.min) {
    return refuse("min " + std::to_string(exact.min) + " and max " + std::to_string(exact.max) +
                  " are not in order");
  }
  if (SlotOf(exact.min) != span.first || SlotOf(exact.max) != span.last) {
    return refuse("min " + std::to_string(exact.min) + " or max " + std::to_string(exact.max) +
                  " lies outside the slots used");
  }
  const uint128 n = exact.n;
  if (exact.sum < n * static_cast<uint64_t>(exact.min) ||
      exact.sum > n * static_cast<uint64_t>(exact.max)) {
    return refuse("the sum is not between n times min and n times max");
  }
  if (exact.overflow > exact.n || (exact.overflow > 0) != (exact.max > kHighest)) {
    return refuse("overflow " + std::to_string(exact.overflow) + " does not fit max " +
                  std::to_string(exact.max));
  }
  return absl::OkStatus();
}

StatusOr<std::string> Inflate(std::string_view compressed) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return ResourceExhausted("zlib: out of memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  std::string out;
  int result = Z_OK;
  while (result == Z_OK && out.size() <= kMaxV2Bytes) {
    const size_t had = out.size();
    // One byte beyond the limit shows that there is more than the layout can hold.
    out.resize(std::min(std::max<size_t>(4096, had * 2), kMaxV2Bytes + 1));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    stream.avail_out = static_cast<uInt>(out.size() - had);
    result = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (result == Z_OK && stream.avail_out > 0 && stream.avail_in == 0) result = Z_BUF_ERROR;
  }
  const uInt left = stream.avail_in;
  inflateEnd(&stream);
  if (out.size() > kMaxV2Bytes) {
    return InvalidArgument("histogram: inflates to more than the " + std::to_string(kMaxV2Bytes) +
                           " bytes that its layout can need");
  }
  if (result != Z_STREAM_END) return InvalidArgument("histogram: the zlib data is damaged or cut");
  if (left > 0) return InvalidArgument("histogram: bytes after the end of the zlib data");
  return out;
}

Status CheckHeader(std::string_view bytes) {
  const auto digits = static_cast<int32_t>(GetBigEndian(bytes, 12, 4));
  const auto lowest = static_cast<int64_t>(GetBigEndian(bytes, 16, 8));
  const auto highest = static_cast<int64_t>(GetBigEndian(bytes, 24, 8));
  const uint64_t ratio = GetBigEndian(bytes, 32, 8);
  if (digits != kDigits || lowest != kLowest || highest < 2 * kLowest) {
    return InvalidArgument("histogram: its layout (lowest " + std::to_string(lowest) +
                           ", highest " + std::to_string(highest) + ", digits " +
                           std::to_string(digits) + ") is not ours (1, " +
                           std::to_string(kHighest) + ", 3)");
  }
  if (ratio != kRatioOne && ratio != kRatioJs) {
    return InvalidArgument("histogram: holds scaled values; only integer histograms are read");
  }
  return absl::OkStatus();
}

StatusOr<Histogram> DecodePlainV2(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) {
    return InvalidArgument("histogram: " + std::to_string(bytes.size()) +
                           " bytes are less than the header's 40");
  }
  if ((GetBigEndian(bytes, 0, 4) & kCookieMask) != (kCookie & kCookieMask)) {
    return InvalidArgument("histogram: does not start with the V2 cookie 1c849313");
  }
  BROADSIDE_RETURN_IF_ERROR(CheckHeader(bytes));
  const auto payload = static_cast<int32_t>(GetBigEndian(bytes, 4, 4));
  if (payload < 0 || static_cast<size_t>(payload) != bytes.size() - kHeaderBytes) {
    return InvalidArgument("histogram: the header says " + std::to_string(payload) +
                           " bytes of counts, but " + std::to_string(bytes.size() - kHeaderBytes) +
                           " follow");
  }
  Histogram histogram;
  Exact exact;
  BROADSIDE_ASSIGN_OR_RETURN(
      const Span span, WalkCounts(bytes.substr(kHeaderBytes), [&](int32_t slot, uint64_t count) {
        histogram.AddSlot(slot, count);
        const int64_t middle = SlotLow(slot) + (SlotHigh(slot) - SlotLow(slot) + 1) / 2;
        exact.sum += static_cast<uint128>(count) * static_cast<uint64_t>(middle);
        return true;
      }));
  if (span.total > 0) {
    exact.n = span.total;
    exact.min = SlotLow(span.first);
    exact.max = SlotHigh(span.last);
  }
  histogram.AddExact(exact);
  return histogram;
}

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> MakeReverseAlphabet() {
  std::array<int8_t, 256> reverse{};
  reverse.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    reverse[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  return reverse;
}
constexpr std::array<int8_t, 256> kReverse = MakeReverseAlphabet();

}  // namespace

std::string EncodeCounts(const Histogram& histogram) {
  return EncodeRange(histogram, 0, histogram.slots_used());
}

std::string EncodeCounts(const IntervalHistogram& histogram) {
  return EncodeRange(histogram, histogram.first_slot(), histogram.end_slot());
}

Status DecodeCounts(std::string_view bytes, Histogram& into) {
  BROADSIDE_RETURN_IF_ERROR(CheckCounts(bytes, into).status());
  AddCounts(bytes, into);
  return absl::OkStatus();
}

Status DecodeCounts(std::string_view bytes, const Exact& exact, Histogram& into) {
  BROADSIDE_ASSIGN_OR_RETURN(const Span span, CheckCounts(bytes, into));
  BROADSIDE_RETURN_IF_ERROR(CheckExact(exact, span));
  AddCounts(bytes, into);
  into.AddExact(exact);
  return absl::OkStatus();
}

StatusOr<std::vector<SlotCount>> DecodeSlots(std::string_view bytes, const Exact& exact) {
  std::vector<SlotCount> slots;
  BROADSIDE_ASSIGN_OR_RETURN(const Span span,
                             WalkCounts(bytes, [&slots](int32_t slot, uint64_t count) {
                               slots.push_back({slot, count});
                               return true;
                             }));
  BROADSIDE_RETURN_IF_ERROR(CheckExact(exact, span));
  return slots;
}

std::string EncodeSlots(const std::vector<SlotCount>& slots) {
  CountWriter writer;
  for (const SlotCount& used : slots) writer.Put(used.slot, used.count);
  return writer.Finish();
}

std::string EncodeV2(const Histogram& histogram) {
  const std::string counts = EncodeCounts(histogram);
  std::string out;
  out.reserve(kHeaderBytes + counts.size());
  PutBigEndian(out, kCookie, 4);
  PutBigEndian(out, counts.size(), 4);
  PutBigEndian(out, 0, 4);  // normalizing index offset
  PutBigEndian(out, kDigits, 4);
  PutBigEndian(out, kLowest, 8);
  PutBigEndian(out, kHighest, 8);
  PutBigEndian(out, kRatioOne, 8);
  return out + counts;
}

std::string EncodeV2Compressed(const Histogram& histogram) {
  const std::string plain = EncodeV2(histogram);
  uLongf size = compressBound(plain.size());
  std::string body(size, '\0');
  BROADSIDE_CHECK(compress(reinterpret_cast<Bytef*>(body.data()), &size,
                           reinterpret_cast<const Bytef*>(plain.data()), plain.size()) == Z_OK);
  body.resize(size);
  std::string out;
  PutBigEndian(out, kCompressedCookie, 4);
  PutBigEndian(out, body.size(), 4);
  return out + body;
}

StatusOr<Histogram> DecodeV2(std::string_view bytes) {
  constexpr size_t kWrapper = 8;
  if (bytes.size() < kWrapper ||
      (GetBigEndian(bytes, 0, 4) & kCookieMask) != (kCompressedCookie & kCookieMask)) {
    return DecodePlainV2(bytes);
  }
  const auto length = static_cast<int32_t>(GetBigEndian(bytes, 4, 4));
  if (length < 0 || static_cast<size_t>(length) != bytes.size() - kWrapper) {
    return InvalidArgument("histogram: the header says " + std::to_string(length) +
                           " compressed bytes, but " + std::to_string(bytes.size() - kWrapper) +
                           " follow");
  }
  BROADSIDE_ASSIGN_OR_RETURN(const std::string plain, Inflate(bytes.substr(kWrapper)));
  return DecodePlainV2(plain);
}

std::string Base64Encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      const bool padding = i + j > bytes.size();
      out.push_back(padding ? '=' : kAlphabet[group >> (18 - 6 * j) & 63]);
    }
  }
  return out;
}

StatusOr<std::string> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return InvalidArgument("base64: " + std::to_string(text.size()) +
                           " characters are no multiple of 4");
  }
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t group = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int8_t digit = i < text.size() - padding ? kReverse[static_cast<uint8_t>(text[i])] : 0;
    if (digit < 0) {
      return InvalidArgument("base64: bad character at position " + std::to_string(i + 1));
    }
    group = group << 6 | static_cast<uint32_t>(digit);
    if (i % 4 != 3) continue;
    for (int shift = 16; shift >= 0; shift -= 8) out.push_back(static_cast<char>(group >> shift));
    group = 0;
  }
  out.resize(out.size() - padding);
  return out;
}

}  // namespace broadside::stats
