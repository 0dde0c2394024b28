// A controller that starts again takes up the runs which the one before it left unfinished.
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "common/plan/parse.h"
#include "common/plan/resolve.h"
#include "common/time/clock.h"
#include "common/wire/convert.h"
#include "common/wire/snapshot.h"
#include "controller/server/shell.h"

namespace broadside::controller {
namespace {

StatusOr<AgentFacts> FactsOf(const store::RunAgentRow& row) {
  const auto info = nlohmann::json::parse(row.info_json, nullptr, /*allow_exceptions=*/false);
  const auto labels = nlohmann::json::parse(row.labels_json, nullptr, /*allow_exceptions=*/false);
  if (!info.is_object() || !labels.is_object())
    return DataLoss("what is stored of agent " + row.agent_id + " cannot be read");
  AgentFacts facts{.id = AgentId(row.agent_id), .incarnation = Incarnation(row.incarnation)};
  facts.loops = info.value("loops", 1u);
  facts.cores = info.value("cores", 1u);
  facts.ceiling = info.value("rate_ceiling_micro", rate::MicroRate{0});
  facts.version = info.value("version", "");
  facts.host = info.value("host", "");
  for (const auto& [key, value] : labels.items())
    if (value.is_string()) facts.labels[key] = value.get<std::string>();
  return facts;
}

StatusOr<StoreStop> StopOf(const store::EntryRow& row) {
  const auto body = nlohmann::json::parse(row.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return DataLoss("its stored stop cannot be read");
  return StoreStop{RunStateFromName(body.value("end_as", "")).value_or(RunState::kFailed),
                   body.value("reason", ""), RunTime(Nanos(body.value("end_ns", int64_t{0})))};
}

}  // namespace

Status Shell::RestoreRuns() {
  BROADSIDE_ASSIGN_OR_RETURN(const auto rows, store_->ListOpenRuns());
  for (const store::RunRow& row : rows) {
    const Status status = RestoreRun(row);
    if (status.ok()) continue;
    runs_.erase(RunId(row.id));
    const std::string reason = "it could not be taken up again: " + MessageOf(status);
    spdlog::error("run {}: {}", row.id, reason);
    store_->Enqueue(store::SetRunState{row.id, "failed", reason, WallNanos()});
  }
  return absl::OkStatus();
}

Status Shell::RestoreRun(const store::RunRow& row) {
  BROADSIDE_ASSIGN_OR_RETURN(plan::Plan parsed,
                             plan::ParsePlan(row.plan_json, {.file_name = "stored plan"}));
  const auto plan = std::make_shared<const plan::Plan>(std::move(parsed));
  RunSpec spec{.run = RunId(row.id), .plan = plan, .plan_json = row.plan_json, .seed = row.seed};
  BROADSIDE_ASSIGN_OR_RETURN(spec.segments, plan::ResolveSchedule(*plan, spec.seed));
  BROADSIDE_ASSIGN_OR_RETURN(merge::Segments compiled, Compile(*plan, spec.segments));
  LiveRun live{.name = row.name,
               .plan_sha256 = row.plan_sha256,
               .submitted_wall = row.submitted_wall_ns,
               .t0_wall = row.t0_wall_ns.value_or(0)};
  live.merge = std::make_unique<merge::RunMerge>(spec.run, plan, std::move(compiled));
  BROADSIDE_ASSIGN_OR_RETURN(const StoredRun stored, ReadStored(row, *live.merge));
  if (stored.start)  // before T0 it gets its agents anew
    for (const AgentFacts& facts : stored.agents) live.agents[facts.incarnation] = facts;
  live.notices.push_back("the controller was restarted");
  const RunId run = spec.run;
  runs_[run] = std::move(live);
  BROADSIDE_RETURN_IF_ERROR(dispatcher_->Restore(SystemClock().Now(), std::move(spec), stored));
  spdlog::info("run {}: taken up again, {}", row.id, RunStateName(dispatcher_->Find(run)->state()));
  return absl::OkStatus();
}

StatusOr<StoredRun> Shell::ReadStored(const store::RunRow& row, merge::RunMerge& merge) const {
  StoredRun stored;
  if (!row.t0_boottime_ns) return stored;
  stored.start = {Instant(Nanos(*row.t0_boottime_ns)), row.t0_boot_id,
                  Nanos(WallNanos() - row.t0_wall_ns.value_or(0))};
  BROADSIDE_ASSIGN_OR_RETURN(const auto entries, store_->ReadEntries(row.id));
  for (const store::EntryRow& entry : entries) {
    if (entry.kind == "stop") {
      BROADSIDE_ASSIGN_OR_RETURN(stored.stop, StopOf(entry));
    } else {
      BROADSIDE_ASSIGN_OR_RETURN(wire::Entry unpacked, wire::UnpackEntry(entry.body));
      stored.entries.push_back(std::move(unpacked));
    }
  }
  BROADSIDE_ASSIGN_OR_RETURN(const auto agents, store_->ListRunAgents(row.id));
  for (const store::RunAgentRow& agent : agents) {
    BROADSIDE_ASSIGN_OR_RETURN(AgentFacts facts, FactsOf(agent));
    stored.agents.push_back(std::move(facts));
  }
  const Status read =
      store_->ForEachSnapshot(row.id, [&](const store::SnapshotRow& snapshot) -> Status {
        const wire::SnapshotEnvelope envelope{.run = RunId(row.id),
                                              .incarnation = Incarnation(snapshot.incarnation),
                                              .sequence = snapshot.sequence,
                                              .interval = snapshot.interval,
                                              .final_totals = snapshot.final_totals,
                                              .body = std::string(snapshot.body)};
        BROADSIDE_ASSIGN_OR_RETURN(const stats::Snapshot unpacked, wire::UnpackSnapshot(envelope));
        BROADSIDE_RETURN_IF_ERROR(merge.Fold(AgentId(std::string(snapshot.agent_id)), unpacked));
        stored.newest = std::max(stored.newest, snapshot.interval);
        if (snapshot.final_totals) stored.final_totals.insert(envelope.incarnation);
        return absl::OkStatus();
      });
  BROADSIDE_RETURN_IF_ERROR(read);
  return stored;
}

}  // namespace broadside::controller
