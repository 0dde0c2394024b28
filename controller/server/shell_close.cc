// The end of a run: the report is a fold over what is stored, made on a thread of its own.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "common/plan/parse.h"
#include "common/report/json.h"
#include "common/time/clock.h"
#include "common/wire/snapshot.h"
#include "controller/server/shell.h"

namespace broadside::controller {

void Shell::Do(Action& action, CloseRun& what) {
  LiveRun& live = runs_[action.run];
  const RunCore& core = *dispatcher_->Find(action.run);
  Closing closing{.run = action.run,
                  .token = action.token,
                  .plan = core.spec().plan,
                  .segments = live.merge->segments()};
  merge::CloseFacts& facts = closing.facts;
  facts.run_id = action.run.value();
  facts.state = RunStateName(what.end_as);
  facts.state_reason = what.reason;
  facts.started_wall_ns = live.t0_wall;
  facts.ended_wall_ns = WallNanos();
  facts.seed = core.spec().seed;
  facts.plan_sha256 = live.plan_sha256;
  facts.plan_yaml = plan::ResolvedYaml(*closing.plan);
  facts.versions = {{"controller", BROADSIDE_VERSION},
                    {"schedule", std::to_string(rate::kScheduleVersion)}};
  if (what.stopped) facts.stopped_at = what.stop_end;
  for (const auto& [incarnation, agent] : live.agents) {
    const bool lost = std::find(what.lost.begin(), what.lost.end(), incarnation) != what.lost.end();
    facts.agents.push_back({agent.id,
                            incarnation,
                            lost ? "lost" : "done",
                            {agent.labels.begin(), agent.labels.end()}});
    facts.versions["agent " + agent.id.value()] = agent.version;
  }
  std::map<ShardEpoch, std::shared_ptr<const rate::Deal>> deals;
  for (rate::Deal& deal : what.deals) {
    const ShardEpoch epoch = deal.epoch;
    deals[epoch] = std::make_shared<const rate::Deal>(std::move(deal));
  }
  for (const GrantFact& grant : what.grants)
    facts.grants.push_back({grant.owner, deals[grant.epoch], grant.first, grant.last});
  closers_[action.run] =
      std::thread([this, closing = std::move(closing)]() mutable { CloseOn(std::move(closing)); });
}

void Shell::CloseOn(Closing closing) {
  merge::RunMerge merge(closing.run, closing.plan, closing.segments);
  const auto fold = [&](const store::SnapshotRow& row) -> Status {
    const wire::SnapshotEnvelope envelope{.run = closing.run,
                                          .incarnation = Incarnation(row.incarnation),
                                          .sequence = row.sequence,
                                          .interval = row.interval,
                                          .final_totals = row.final_totals,
                                          .body = std::string(row.body)};
    BROADSIDE_ASSIGN_OR_RETURN(const stats::Snapshot snapshot, wire::UnpackSnapshot(envelope));
    return merge.Fold(AgentId(std::string(row.agent_id)), snapshot);
  };
  Status status = store_->ForEachSnapshot(closing.run.value(), fold);
  const report::Report report = merge.Finish(closing.facts);
  std::string json = report::ReportJson(report).dump();
  Post([this, closing = std::move(closing), status, json = std::move(json),
        validity = report.validity.verdict, mismatch = report.ledger.mismatch]() mutable {
    if (!status.ok()) return Closed(closing.run, closing.token, status, validity, mismatch);
    const auto token = store_->Enqueue(store::PutReport{closing.run.value(), std::move(json)});
    // The run has not ended before its report is stored: else a crash here would lose it.
    writes_[token] = [this, closing = std::move(closing), validity,
                      mismatch](const Status& reported) {
      if (!reported.ok()) return Closed(closing.run, closing.token, reported, validity, mismatch);
      const auto last = store_->Enqueue(store::SetRunState{closing.run.value(), closing.facts.state,
                                                           closing.facts.state_reason,
                                                           closing.facts.ended_wall_ns});
      writes_[last] = [this, run = closing.run, mine = closing.token, validity, mismatch](
                          const Status& ended) { Closed(run, mine, ended, validity, mismatch); };
    };
  });
}

void Shell::Closed(const RunId& run, StoreToken token, const Status& status, std::string validity,
                   int64_t mismatch) {
  if (const auto closer = closers_.find(run); closer != closers_.end()) {
    closer->second.join();  // posting this was the last thing it did
    closers_.erase(closer);
  }
  LiveRun& live = runs_[run];
  live.validity = std::move(validity);
  live.ledger_mismatch = mismatch;
  live.ended = SystemClock().Now();
  Complete(run, token, status);
  spdlog::info("run {}: closed", run.value());
  next_interval_ = *live.ended;  // watchers hear of it at once
}

}  // namespace broadside::controller
