#include "common/report/format.h"

#include <gtest/gtest.h>

namespace broadside::report {
namespace {

TEST(Format, DurationsHaveThreeDigitsAndAUnit) {
  const std::pair<int64_t, const char*> rows[] = {
      {0, "0 ns"},
      {12, "12 ns"},
      {999, "999 ns"},
      {1'000, "1.00 µs"},
      {850'000, "850 µs"},
      {999'400, "999 µs"},
      {999'600, "1.00 ms"},
      {1'000'000, "1.00 ms"},
      {9'994'000, "9.99 ms"},
      {9'996'000, "10.0 ms"},
      {12'400'000, "12.4 ms"},
      {99'960'000, "100 ms"},
      {470'000'000, "470 ms"},
      {999'960'000, "1.00 s"},
      {1'250'000'000, "1.25 s"},
      {10'000'000'000, "10.0 s"},
      {1'250'000'000'000, "1,250 s"},
      {-12'400'000, "-12.4 ms"},
  };
  for (const auto& [nanos, text] : rows) EXPECT_EQ(FormatDuration(nanos), text) << nanos;
  EXPECT_EQ(FormatDuration(std::optional<int64_t>()), "–");
}

TEST(Format, ShortDurationsLoseTheirZeros) {
  EXPECT_EQ(FormatDurationShort(10'000'000), "10 ms");
  EXPECT_EQ(FormatDurationShort(2'500'000), "2.5 ms");
  EXPECT_EQ(FormatDurationShort(1'000'000'000), "1 s");
  EXPECT_EQ(FormatDurationShort(100'000), "100 µs");
}

TEST(Format, ClockTimes) {
  EXPECT_EQ(FormatClock(-5), "00:00");
  EXPECT_EQ(FormatClock(351'900'000'000), "05:51");
  EXPECT_EQ(FormatClock(3'600'000'000'000), "1:00:00");
}

TEST(Format, RatesShowAThousandthOfADifference) {
  const std::pair<double, const char*> rows[] = {
      {0, "0/s"},        {0.5, "0.500/s"},     {50, "50.0/s"},
      {99.96, "100/s"},  {991.4, "991.4/s"},   {1499.8, "1,499.8/s"},
      {1500, "1,500/s"}, {1499.98, "1,500/s"}, {1e6, "1,000,000/s"}};
  for (const auto& [rate, text] : rows) EXPECT_EQ(FormatRate(rate), text) << rate;
}

TEST(Format, CountsHaveSeparators) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(603114), "603,114");
  EXPECT_EQ(FormatCount(18446744073709551615ULL), "18,446,744,073,709,551,615");
  EXPECT_EQ(FormatSignedCount(-1234), "-1,234");
  EXPECT_EQ(FormatSignedCount(-123), "-123");
}

TEST(Format, SharesNeverRoundToAllOrNothing) {
  EXPECT_EQ(FormatPercent(0), "0 %");
  EXPECT_EQ(FormatPercent(1), "100 %");
  EXPECT_EQ(FormatPercent(0.661), "66.1 %");
  EXPECT_EQ(FormatPercent(0.99998), "99.998 %");
  EXPECT_EQ(FormatPercent(0.9999999), "> 99.999 %");
  EXPECT_EQ(FormatPercent(0.000012), "0.0012 %");
  EXPECT_EQ(FormatPercent(1e-9), "< 0.0001 %");
}

TEST(Format, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(3'200'000), "3.20 MB");
  EXPECT_EQ(FormatBytes(999'960), "1.00 MB");
}

TEST(Format, WidthCountsLettersNotBytes) {
  EXPECT_EQ(DisplayWidth("µs – ▏"), 6);
  EXPECT_EQ(DisplayWidth("\x1b[31mred\x1b[0m"), 3);
  EXPECT_EQ(PadRight("µs", 4), "µs  ");
  EXPECT_EQ(PadLeft("µs", 4), "  µs");
  EXPECT_EQ(Truncate("µs – x", 4), "µs –");
  EXPECT_EQ(Truncate("\x1b[31mred\x1b[0m", 2), "\x1b[31mre\x1b[0m");
}

TEST(Format, AsciiHasNoOtherLetters) {
  EXPECT_EQ(ToAscii("12 µs ± 3 – █▏ → ▸ é"), "12 us +- 3 - ## -> > ?");
}

TEST(Format, ForeignTextCannotSteerTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\nc\xC2\x9B"
                      "d"),
            "a?[2Jb?c?d");
  EXPECT_EQ(Printable("µ"), "µ");
}

}  // namespace
}  // namespace broadside::report
