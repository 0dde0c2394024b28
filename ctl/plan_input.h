#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/plan/parse.h"
#include "common/plan/plan.h"
#include "ctl/env.h"

namespace broadside::ctl {

/// Where a plan comes from: a file ("-": stdin), or the flags that stand for one.
struct PlanInput {
  std::string file;
  plan::OneLiner one_liner;
  std::vector<std::string> overrides;  ///< --set
  bool send_secrets = false;
};

struct LoadedPlan {
  plan::Plan plan;
  std::map<std::string, std::string> files;  ///< SHA-256 → content
  std::string canonical_json;
  /// HOST:PORT of everything the plan fires at, once each, in order.
  std::vector<std::string> endpoints;
};

/// Reads, parses and checks the plan and every file it names. Paths in a plan are relative to the
/// plan's own folder, those of flags to the current one. Errors are one line with the place.
StatusOr<LoadedPlan> LoadPlan(const Env& env, const PlanInput& input);

/// The content of a regular file of at most 256 MiB, or an error that starts with the path.
StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace broadside::ctl
