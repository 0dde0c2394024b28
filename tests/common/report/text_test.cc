#include "common/report/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/report/format.h"
#include "common/report/json.h"
#include "tests/common/report/sample.h"
#include "tests/golden.h"

namespace broadside::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ReportText, Healthy) { ExpectGolden("healthy.txt", RenderText(HealthyReport(), {})); }
TEST(ReportText, Troubled) { ExpectGolden("troubled.txt", RenderText(TroubledReport(), {})); }
TEST(ReportText, Ascii) {
  const std::string text = RenderText(TroubledReport(), {.unicode = false});
  ExpectGolden("troubled.ascii.txt", text);
  for (const char c : text) ASSERT_LT(static_cast<unsigned char>(c), 0x80) << text;
}

TEST(ReportText, NothingAtAllStillRenders) { ExpectGolden("empty.txt", RenderText(Report(), {})); }

TEST(ReportText, ColourAddsNothingButColour) {
  const std::string coloured = RenderText(TroubledReport(), {.colour = true});
  EXPECT_THAT(coloured, HasSubstr("\x1b[31mINVALID\x1b[0m"));
  std::string plain;
  for (size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] != '\x1b') {
      plain += coloured[i];
      continue;
    }
    i = coloured.find('m', i);
  }
  // Spaces at the ends of coloured cells stay inside the codes.
  const auto squeeze = [](std::string text) {
    std::string out;
    for (const char c : text) {
      if (c == '\n') out.erase(out.find_last_not_of(' ') + 1);
      out += c;
    }
    return out;
  };
  EXPECT_EQ(squeeze(plain), squeeze(RenderText(TroubledReport(), {})));
}

TEST(ReportText, IsTheSameFromStoredJson) {
  for (const Report& report : {HealthyReport(), TroubledReport()}) {
    const StatusOr<Report> back = ReportFromJson(ReportJsonText(report));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(RenderText(*back, {}), RenderText(report, {}));
  }
}

TEST(ReportText, UnansweredPercentilesReadAsBeyondTheTimeout) {
  Report report = HealthyReport();
  report.total.latency.p50_censored = true;
  EXPECT_THAT(RenderText(report, {}), HasSubstr("> 10.0 s"));
  report.timeout_ns = 0;
  EXPECT_THAT(RenderText(report, {}), HasSubstr("> timeout"));
}

TEST(ReportText, ALedgerThatDoesNotCloseSaysByHowMuch) {
  Report report = HealthyReport();
  EXPECT_THAT(RenderText(report, {}), Not(HasSubstr("DOES NOT CLOSE")));
  report.ledger.ok -= 3;
  EXPECT_THAT(RenderText(report, {}), HasSubstr("DOES NOT CLOSE by 3"));
  report.ledger.ok += 5;
  EXPECT_THAT(RenderText(report, {}), HasSubstr("DOES NOT CLOSE by -2"));
}

TEST(ReportText, TextFromElsewhereCannotSteerTheTerminal) {
  EXPECT_THAT(RenderText(TroubledReport(), {}), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace broadside::report
