#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/plan/plan.h"

/// plan.yaml → Plan. Every error is one line "FILE:LINE:COLUMN: what was found; what is allowed;
/// the nearest known word". YAML and its canonical JSON form are read by the same functions.
namespace broadside::plan {

struct ParseOptions {
  std::string file_name = "plan.yaml";  ///< for messages, and the default of `name:`
  std::vector<std::string> overrides;   ///< "--set" texts: "load.a.rate=2000/s"
  bool send_secrets = false;            ///< allow ${env:} and ${file:} inside headers
  /// ${env:NAME}; null: refused. Returns false when the variable is not set.
  std::function<bool(const std::string& name, std::string& value)> environment;
  /// ${file:PATH}; null: refused.
  std::function<StatusOr<std::string>(const std::string& path)> read_file;
  /// Refuse what this version parses but does not run yet.
  bool only_built_features = true;
};

StatusOr<Plan> ParsePlan(std::string_view text, const ParseOptions& options);

/// The resolved plan as JSON that ParsePlan reads back to an equal Plan; keys sorted, so that equal
/// plans have equal text and the SHA-256 of it names the plan.
std::string CanonicalJson(const Plan& plan);

/// The same as YAML for people, with every default written out (ctl run --dry-run).
std::string ResolvedYaml(const Plan& plan);

/// JSON Schema (draft 2020-12) of the grammar, for editors.
std::string PlanJsonSchema();

/// Reads every file that the plan names, target files' @bodies too, in the order met; fills
/// plan.files and returns hash → content. `read` gets paths as written.
StatusOr<std::map<std::string, std::string>> CollectFiles(
    Plan& plan, const std::function<StatusOr<std::string>(const std::string& path)>& read,
    const std::function<StatusOr<std::vector<std::string>>(const std::string& directory)>& list);

/// What `ctl run --target URL --rate R --duration D [--targets F]` stands for.
struct OneLiner {
  std::string target, rate, duration, targets_file, method, body_file;
  std::vector<std::string> headers;
};
StatusOr<Plan> PlanFromFlags(const OneLiner& flags, const ParseOptions& options);

/// Checks that need the files' content (target files' syntax with line numbers, replay rows, JSON
/// of bodies, config.pbtxt). `read` gets paths as written.
Status CheckFiles(const Plan& plan,
                  const std::function<StatusOr<std::string>(const std::string& path)>& read);

/// Values people write. Errors say what is allowed, without a place.
StatusOr<Nanos> ParseDuration(std::string_view text);  // 250ms, 1.5s, 1h30m
StatusOr<MicroRate> ParseRate(std::string_view text);  // 100/s, 6000/min, 0.5/s
StatusOr<Ppm> ParsePercent(std::string_view text);     // 0.1%
StatusOr<Url> ParseUrl(std::string_view text);
StatusOr<Rule> ParseRule(std::string_view text);

}  // namespace broadside::plan
