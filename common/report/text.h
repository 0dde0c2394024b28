#pragma once

#include <string>

#include "common/report/report.h"

/// The report for people: the answer first, the evidence under it, the doubt beside it. Pure, any
/// thread.
namespace broadside::report {

struct TextOptions {
  bool colour = false;  ///< never the only signal
  int width = 100;      ///< columns; bars and long lists keep to it, tables may run over
  bool unicode = true;  ///< false: ASCII only
};

/// Ends with a newline.
std::string RenderText(const Report& report, const TextOptions& options);

}  // namespace broadside::report
