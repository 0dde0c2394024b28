#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "common/report/report.h"

/// The report as JSON, "broadside.report/v1": the keys that scripts hang on (ARCHITECTURE.md),
/// added to and never renamed. Rates are requests per second, times integer nanoseconds (wall times
/// since the Unix epoch), a value that does not exist is null. Pure, any thread.
namespace broadside::report {

nlohmann::json ReportJson(const Report& report);

/// ReportJson as text, indented by two; bytes that are not UTF-8 become U+FFFD.
std::string ReportJsonText(const Report& report);

/// The way back, for showing a stored report: unknown keys are ignored, missing ones are empty. An
/// error names what is wrong: not JSON, another schema, a value of another type.
StatusOr<Report> ReportFromJson(std::string_view text);

}  // namespace broadside::report
