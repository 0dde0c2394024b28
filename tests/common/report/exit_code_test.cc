#include <gtest/gtest.h>

#include "common/report/report.h"

namespace broadside::report {
namespace {

struct Row {
  const char *state, *validity, *slo, *breaker;
  bool strict;
  int code;
};

TEST(ExitCode, IsTheFirstThatApplies) {
  const Row rows[] = {
      {"completed", "VALID", "none", "none", false, 0},
      {"completed", "VALID", "pass", "pass", true, 0},
      {"completed", "DEGRADED", "pass", "none", false, 0},
      {"completed", "DEGRADED", "pass", "none", true, 7},
      {"completed", "DEGRADED", "fail", "none", false, 4},
      {"completed", "DEGRADED", "fail", "none", true, 7},
      {"completed", "VALID", "fail", "pass", false, 4},
      {"completed", "VALID", "fail", "fail", false, 5},
      {"completed", "VALID", "pass", "fail", false, 5},
      {"completed", "VALID", "pass", "inconclusive", false, 6},
      {"completed", "VALID", "fail", "inconclusive", false, 4},
      {"completed", "INVALID", "fail", "fail", false, 7},
      {"aborted", "INVALID", "fail", "fail", false, 8},
      {"failed", "INVALID", "fail", "fail", false, 3},
      {"cancelled", "INVALID", "fail", "fail", true, 130},
      {"cancelled", "VALID", "none", "none", false, 130},
  };
  for (const Row& row : rows) {
    Report report;
    report.state = row.state;
    report.validity.verdict = row.validity;
    report.slo = row.slo;
    report.breaker = row.breaker;
    EXPECT_EQ(ExitCode(report, row.strict), row.code)
        << row.state << " " << row.validity << " slo " << row.slo << " breaker " << row.breaker
        << (row.strict ? " strict" : "");
  }
}

}  // namespace
}  // namespace broadside::report
