#include <gtest/gtest.h>

#include "common/stats/codec.h"

namespace broadside::stats {
namespace {

const std::string kSmall =
    "HISTFAAAAC54nJNpmSzMwMDAywABzFCaEch0M9ixgMH+A0SAiYnpuzwby29+poN1TACdJQfL";

StatusOr<std::vector<LogInterval>> Read(const std::string& text) { return ReadLog(text, "a.hlog"); }
std::string Error(const std::string& text) { return MessageOf(Read(text).status()); }

TEST(ReadLog, HeadersTagsAndLineEnds) {
  const auto log = Read(
      "#[any comment]\r\n"
      "#[Histogram log format version 1.3]\n"
      "#[StartTime: 1700000000.000 (seconds since epoch), a date]\n"
      "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Hist\"\n"
      "0.127,1.007,2.769,HISTFAAAACF4nJNpmSzMwMDAyAABzFAayGd2M9ixgMH+A1QEAFKmBEw=\n"
      "\n"
      "Tag=ok,1.134,0.999,1.000," +
      kSmall);
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_EQ(log->size(), 2U);
  EXPECT_EQ((*log)[0].tag, "");
  EXPECT_DOUBLE_EQ((*log)[0].start_s, 1700000000.127);
  EXPECT_DOUBLE_EQ((*log)[0].length_s, 1.007);
  EXPECT_EQ((*log)[0].histogram.n(), 0U);
  EXPECT_EQ((*log)[1].tag, "ok");
  EXPECT_DOUBLE_EQ((*log)[1].start_s, 1700000001.134);
  EXPECT_EQ((*log)[1].histogram.n(), 10U);
}

TEST(ReadLog, WhereTimestampsCountFrom) {
  const std::string start = "#[StartTime: 1700000000.000 (seconds since epoch)]\n";
  const std::string base = "#[BaseTime: 1600000000.000 (seconds since epoch)]\n";
  const auto first = [](const std::string& text) {
    const auto log = Read(text);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() && !log->empty() ? log->front().start_s : -1;
  };
  EXPECT_DOUBLE_EQ(first(start + "5.0,1.0,0.0," + kSmall), 1700000005.0);
  EXPECT_DOUBLE_EQ(first(start + "1700000005.0,1.0,0.0," + kSmall), 1700000005.0);
  EXPECT_DOUBLE_EQ(first(start + base + "5.0,1.0,0.0," + kSmall), 1600000005.0);
  EXPECT_DOUBLE_EQ(first("1650000000.5,1.0,0.0," + kSmall), 1650000000.5);
}

TEST(ReadLog, ErrorsNameTheLine) {
  EXPECT_EQ(Error("#[Histogram log format version 2.0]\n"),
            "a.hlog:1: log format version \"2.0\": 1.0 to 1.3 are read");
  EXPECT_EQ(Error("\n#[StartTime: soon]\n"),
            "a.hlog:2: \"soon\" is not a time in seconds, as in 1700000000.000");
  EXPECT_EQ(Error("1.0,2.0,3.0\n"), "a.hlog:1: no histogram in the fourth field");
  EXPECT_EQ(Error("x,2.0,3.0," + kSmall),
            "a.hlog:1: \"x\" is not the start timestamp; a line is "
            "[Tag=name,]start,length,max,histogram");
  EXPECT_EQ(Error("1,nan,3.0," + kSmall),
            "a.hlog:1: \"nan\" is not the interval length; a line is "
            "[Tag=name,]start,length,max,histogram");
  EXPECT_EQ(Error("Tag=,1,2,3," + kSmall), "a.hlog:1: a tag without a name");
  EXPECT_EQ(Error("1,2,3," + kSmall + "\n1,2,3,!!!!\n"),
            "a.hlog:2: base64: bad character at position 1");
  EXPECT_EQ(Error("1,2,3,AAAA\n"), "a.hlog:1: histogram: 3 bytes are less than the header's 40");
}

}  // namespace
}  // namespace broadside::stats
