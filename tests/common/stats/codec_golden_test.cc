#include <gtest/gtest.h>

#include "common/stats/codec.h"

/// Vectors made by the Java, Python, C and JavaScript HdrHistogram implementations.
namespace broadside::stats {
namespace {

std::string FromHex(std::string_view hex) {
  std::string bytes;
  std::string digits;
  for (const char c : hex) {
    if (c != ' ') digits.push_back(c);
  }
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string Repeat(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += piece;
  return out;
}

struct Golden {
  const char* name;
  std::vector<int64_t> values;
  std::string payload;  ///< of the reference implementation (Java)
  std::vector<const char*> base64;
  uint64_t n;
  int64_t min, max;  ///< as slot edges
  double mean;       ///< from slot middles
  std::vector<std::pair<Ppm, int64_t>> percentiles;
};

std::vector<int64_t> Range(int64_t from, int64_t to, int64_t step) {
  std::vector<int64_t> values;
  for (int64_t value = from; value <= to; value += step) values.push_back(value);
  return values;
}

std::vector<Golden> AllGolden() {
  return {
      {"EMPTY",
       {},
       FromHex("00"),
       {"HISTFAAAACF4nJNpmSzMwMDAyAABzFAayGd2M9ixgMH+A1QEAFKmBEw=",
        "HISTFAAAAB14nJNpmSzMgADMUJoRyHQz2LGAwf4DRAAATjkESw=="},  // Python: no payload at all
       0,
       0,
       0,
       0,
       {}},
      {"ONE",
       {1},
       FromHex("00 02"),
       {"HISTFAAAACJ4nJNpmSzMwMDAxAABzFCaEch0M9ixgMH+A1SECQBXFwRP",
        "HISTFAAAACJ4nJNpmSzMwMDAxAABzFCaEch0M9ixgMH+A1SACQBXGQRQ",           // 01 for one zero
        "HISTFAAAACZ4nJNpmSzMwMDAxMDAwMjAwMDMAAGMDAzMbgY7FjDA+UwATFMDIg=="},  // offset 1
       1,
       1,
       1,
       1,
       {{500'000, 1}, {990'000, 1}}},
      {"SMALL",
       {0, 1, 2, 2047, 2047, 2047, 2048, 2049, 4095, 1'000'000},
       FromHex("02 02 02 f71f 06 04 fb0f 02 c17e 02"),
       {"HISTFAAAAC54nJNpmSzMwMDAywABzFCaEch0M9ixgMH+A0SAiYnpuzwby29+poN1TACdJQfL"},
       10,
       0,
       1'000'447,
       101'452.9,
       {{500'000, 2047}, {900'000, 4095}, {990'000, 1'000'447}}},
      {"R1000",
       Range(1, 1000, 1),
       FromHex("00") + Repeat(FromHex("02"), 1000),
       {"HISTFAAAACl4nJNpmSzMwMD8kgECmKE0I5DpZrBjAYP9B6gI0ygYBaNg2AMAGPsNBw==",
        "HISTFAAAACl4nJNpmSzMwMD8kgECmKE0I5DpZrBjAYP9B6gA0ygYBaNg2AMAHOQNCA=="},
       1000,
       1,
       1000,
       500.5,
       {{500'000, 500}, {900'000, 900}, {990'000, 990}, {999'000, 999}}},
      {"WIDE",
       {0, 1, 2047, 2048, 4095, 1'000'000, 1'000'000'000, 3'600'000'000'000},
       FromHex("0202f91f0202fb0f02c17e02a19f0102afbc0102"),
       {"HISTFAAAADZ4nJNpmSzMwMAgwgABzFCaEch0M9ixgMH+A0SAiemnPBPTb36mg3VMC+czMq3fw8gEAOaZCn0="},
       8,
       0,
       3'601'330'077'695,
       450'157'177'952.0,
       {{500'000, 2049}, {900'000, 3'601'330'077'695}}},
  };
}

Histogram Of(const std::vector<int64_t>& values) {
  Histogram histogram;
  for (const int64_t value : values) histogram.Record(value);
  return histogram;
}

TEST(CodecGolden, WeEncodeAsTheReferenceDoes) {
  for (const Golden& golden : AllGolden()) {
    const Histogram ours = Of(golden.values);
    EXPECT_EQ(EncodeCounts(ours), golden.payload) << golden.name;
    EXPECT_EQ(EncodeV2(ours).substr(40), golden.payload) << golden.name;
    // Deflate output may differ between zlib versions: what it inflates to may not.
    const auto reference = DecodeV2(*Base64Decode(golden.base64[0]));
    ASSERT_TRUE(reference.ok()) << golden.name;
    EXPECT_EQ(EncodeV2(*reference), EncodeV2(ours)) << golden.name;
  }
}

TEST(CodecGolden, TheRecorderEncodesAsTheMergedForm) {
  for (const Golden& golden : AllGolden()) {
    IntervalHistogram recorder;
    for (const int64_t value : golden.values) recorder.Record(value);
    EXPECT_EQ(EncodeCounts(recorder), golden.payload) << golden.name;
  }
}

TEST(CodecGolden, WeDecodeWhatEveryImplementationWrote) {
  for (const Golden& golden : AllGolden()) {
    for (const char* text : golden.base64) {
      const auto bytes = Base64Decode(text);
      ASSERT_TRUE(bytes.ok()) << golden.name;
      EXPECT_EQ(Base64Encode(*bytes), text);
      const auto histogram = DecodeV2(*bytes);
      ASSERT_TRUE(histogram.ok()) << golden.name << ": " << histogram.status();
      EXPECT_EQ(histogram->n(), golden.n) << golden.name;
      EXPECT_EQ(histogram->exact().min, golden.min) << golden.name;
      EXPECT_EQ(histogram->exact().max, golden.max) << golden.name;
      for (const auto& [ppm, value] : golden.percentiles) {
        EXPECT_EQ(histogram->Percentile(ppm), value) << golden.name << " at " << ppm;
      }
      if (golden.n > 0) {
        const double mean =
            static_cast<double>(histogram->exact().sum) / static_cast<double>(golden.n);
        EXPECT_DOUBLE_EQ(mean, golden.mean) << golden.name;
      }
    }
  }
}

TEST(CodecGolden, TheEmptyHeaderByteByByte) {
  EXPECT_EQ(EncodeV2(Histogram()),
            FromHex("1c849313 00000001 00000000 00000003 0000000000000001 0000034630b8a000 "
                    "3ff0000000000000 00"));
  EXPECT_TRUE(DecodeV2(FromHex("1c849313 00000001 00000000 00000003 0000000000000001 "
                               "0000034630b8a000 3ff0000000000000 01"))
                  .ok())
      << "C writes one zero slot as a run of length 1";
}

TEST(CodecGolden, Ramp) {
  const Histogram ramp = Of(Range(1000, 10'000'000, 1000));
  const auto decoded = DecodeV2(EncodeV2Compressed(ramp));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->n(), 10'000U);
  EXPECT_EQ(decoded->exact().min, 1000);
  EXPECT_EQ(decoded->exact().max, 10'002'431);
  EXPECT_NEAR(static_cast<double>(decoded->exact().sum) / 10'000, 5'000'504.7578, 0.0001);
  EXPECT_EQ(decoded->Percentile(500'000), 5'001'215);
  EXPECT_EQ(decoded->Percentile(900'000), 9'003'007);
  EXPECT_EQ(decoded->Percentile(990'000), 9'904'127);
  EXPECT_EQ(decoded->Percentile(999'000), 9'994'239);
}

TEST(CodecGolden, AnotherLowestValueIsAnotherLayout) {
  // (1000, 3600000000000, 3) with {999, 1000, 1023, 5000000}
  const auto decoded =
      DecodeV2(FromHex("1c849313 00000005 00000000 00000003 00000000000003e8 0000034630b8a000 "
                       "3ff0000000000000 0006834302"));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(MessageOf(decoded.status()),
            "histogram: its layout (lowest 1000, highest 3600000000000, digits 3) is not ours (1, "
            "3600000000000, 3)");
}

}  // namespace
}  // namespace broadside::stats
