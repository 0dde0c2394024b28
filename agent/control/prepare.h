#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/control/allow_list.h"
#include "agent/engine/engine.h"
#include "common/base/status.h"
#include "common/wire/messages.h"

namespace broadside::agent {

/// What an agent allows and how it fires, from its flags.
struct LocalPolicy {
  AllowList allow;
  std::string secrets_dir;           ///< empty: no secrets
  rate::MicroRate rate_ceiling = 0;  ///< 0: none
  EngineOptions engine;
};

/// A run made ready on this agent: plan, files, requests, engine.
struct PreparedRun {
  std::shared_ptr<const plan::Plan> plan;
  std::map<std::string, std::string> files;  ///< by SHA-256
  std::unique_ptr<Engine> engine;
  std::vector<std::string> warnings;
};

/// Fetches a file by hash.
using FileFetcher = std::function<StatusOr<std::string>(const std::string& sha256)>;

/// Reads the plan, fetches its files, builds the requests, checks every endpoint against the allow
/// list, and creates the engine with warm connections. Blocks, up to `warm_deadline` for the last.
StatusOr<PreparedRun> Prepare(const wire::Assignment& assignment, Incarnation self,
                              const LocalPolicy& policy, const FileFetcher& fetch,
                              Nanos warm_deadline, SnapshotSink sink);

/// Does `deal` ask more of `self` than the ceiling allows at any moment of `segments`?
Status CheckCeiling(const rate::Deal& deal, const std::vector<rate::Segment>& segments,
                    Incarnation self, rate::MicroRate ceiling);

}  // namespace broadside::agent
