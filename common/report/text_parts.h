#pragma once

#include <string>

#include "common/report/report.h"
#include "common/report/text.h"

/// The parts of RenderText, each a block that ends with a newline, or empty when it has nothing to
/// say. Internal to common/report.
namespace broadside::report::text {

std::string Heading(const Report& report, const TextOptions& options);
std::string Verdicts(const Report& report, const TextOptions& options);
std::string Phases(const Report& report, const TextOptions& options);
std::string Targets(const Report& report, const TextOptions& options);
std::string Measures(const Report& report, const TextOptions& options);

std::string Bars(const Report& report, const TextOptions& options);
std::string Outcomes(const Report& report, const TextOptions& options);
std::string Agents(const Report& report, const TextOptions& options);
std::string Laws(const Report& report, const TextOptions& options);  ///< ledger, Little, coverage
std::string Provenance(const Report& report, const TextOptions& options);

/// A percentile of `summary`: "14.1 ms", "> 10.0 s" when its rank is among the unanswered, "–".
std::string Percentile(const Report& report, std::optional<int64_t> value, bool censored);
/// The name of what report.total sums: the one measured phase, or "measured phases".
std::string TotalName(const Report& report);

}  // namespace broadside::report::text
