#include "common/report/report.h"

namespace broadside::report {

int ExitCode(const Report& report, bool strict) {
  if (report.state == "cancelled") return 130;
  if (report.state == "failed") return 3;
  if (report.state == "aborted") return 8;
  if (report.validity.verdict == "INVALID") return 7;
  if (strict && report.validity.verdict == "DEGRADED") return 7;
  if (report.breaker == "fail") return 5;
  if (report.slo == "fail") return 4;
  if (report.breaker == "inconclusive") return 6;
  return 0;
}

}  // namespace broadside::report
