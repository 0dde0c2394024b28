// What operators see and ask: submit, stop, watch, lists, and the figures of /metrics.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/base/digest.h"
#include "common/plan/parse.h"
#include "common/plan/resolve.h"
#include "common/time/clock.h"
#include "controller/merge/validity.h"
#include "controller/server/shell.h"
#include "controller/server/view.h"

namespace broadside::controller {
namespace {

constexpr Nanos kSeriesKept = std::chrono::minutes(15);
constexpr size_t kRecentRates = 40;

}  // namespace

OperatorCalls Shell::operator_calls() {
  OperatorCalls calls;
  calls.submit = [this](v1::SubmitRequest request,
                        std::function<void(StatusOr<std::string>)> answer) {
    Submit(std::move(request), std::move(answer));
  };
  calls.stop = [this](std::string run_id, std::string reason, std::function<void(Status)> answer) {
    Post(
        [this, run_id = std::move(run_id), reason = std::move(reason), answer = std::move(answer)] {
          const StatusOr<RunId> run = FindRun(run_id);
          if (run.ok())
            dispatcher_->StopRun(SystemClock().Now(), *run, RunState::kCancelled, reason);
          answer(run.status());
        });
  };
  calls.watch = [this](std::string run_id, std::shared_ptr<ProgressSink> sink) {
    Post([this, run_id = std::move(run_id), sink = std::move(sink)] { Watch(run_id, sink); });
  };
  calls.list_agents = [this](std::function<void(v1::ListAgentsReply)> answer) {
    Post([this, answer = std::move(answer)] { answer(Agents()); });
  };
  calls.list_runs = [this](uint32_t limit) { return Runs(limit); };
  calls.report = [this](const std::string& run_id) { return Report(run_id); };
  calls.has_file = [this](const std::string& sha256) { return store_->HasFile(sha256); };
  calls.put_file = [this](std::string sha256, std::string content,
                          std::function<void(Status)> answer) {
    Post([this, sha256 = std::move(sha256), content = std::move(content),
          answer = std::move(answer)]() mutable {
      const auto token =
          store_->Enqueue(store::PutFile{std::move(sha256), std::move(content), WallNanos()});
      writes_[token] = [answer = std::move(answer)](const Status& status) { answer(status); };
    });
  };
  return calls;
}

Status Shell::CheckFilesThere(const plan::Plan& plan) const {
  for (const auto& [path, sha256] : plan.files) {
    BROADSIDE_ASSIGN_OR_RETURN(const bool has, store_->HasFile(sha256));
    if (!has)
      return FailedPrecondition("file " + path + " (" + sha256.substr(0, 12) +
                                "…) was not sent to the controller");
  }
  return absl::OkStatus();
}

StatusOr<merge::Segments> Shell::Compile(const plan::Plan& plan,
                                         const std::vector<rate::Segment>& segments) const {
  const std::vector<plan::PhaseRow> rows = plan::PhaseRows(plan);
  merge::Segments out;
  for (const rate::Segment& segment : segments) {
    BROADSIDE_ASSIGN_OR_RETURN(
        auto compiled,
        plan::CompileSegment(
            segment, [this](const std::string& sha256) { return store_->GetFile(sha256); },
            rows[segment.phase.value()].name));
    out.push_back(std::move(compiled));
  }
  return out;
}

void Shell::Submit(v1::SubmitRequest request, std::function<void(StatusOr<std::string>)> answer) {
  // Everything that only reads is done here, on gRPC's thread.
  StatusOr<plan::Plan> parsed = plan::ParsePlan(request.plan_json(), {.file_name = "plan"});
  if (!parsed.ok()) return answer(parsed.status());
  if (const Status status = CheckFilesThere(*parsed); !status.ok()) return answer(status);
  if (const Status status = merge::ParseThresholds(parsed->validity).status(); !status.ok())
    return answer(status);
  const auto plan = std::make_shared<const plan::Plan>(*std::move(parsed));
  RunSpec spec{.run = RunId(Hex(RandomBits() & 0xffffff, 6)),
               .plan = plan,
               .plan_json = request.plan_json(),
               .seed = plan->seed.value_or(RandomBits())};
  StatusOr<std::vector<rate::Segment>> segments = plan::ResolveSchedule(*plan, spec.seed);
  if (!segments.ok()) return answer(segments.status());
  spec.segments = *std::move(segments);
  StatusOr<merge::Segments> compiled = Compile(*plan, spec.segments);
  if (!compiled.ok()) return answer(compiled.status());
  Post([this, spec = std::move(spec), compiled = *std::move(compiled), no_wait = request.no_wait(),
        answer = std::move(answer)]() mutable {
    const RunId run = spec.run;
    LiveRun live{.name = spec.plan->name,
                 .plan_sha256 = Sha256Hex(spec.plan_json),
                 .submitted_wall = WallNanos()};
    live.merge = std::make_unique<merge::RunMerge>(run, spec.plan, std::move(compiled));
    store::PutRun op{{.id = run.value(),
                      .name = live.name,
                      .state = "waiting",
                      .plan_json = spec.plan_json,
                      .plan_sha256 = live.plan_sha256,
                      .seed = spec.seed,
                      .submitted_wall_ns = live.submitted_wall},
                     {}};
    std::set<std::string> hashes;
    for (const auto& [path, sha256] : spec.plan->files) hashes.insert(sha256);
    op.file_sha256s.assign(hashes.begin(), hashes.end());
    runs_[run] = std::move(live);
    writes_[store_->Enqueue(std::move(op))] =
        [this, spec = std::move(spec), no_wait,
         answer = std::move(answer)](const Status& status) mutable {
          if (!status.ok()) {
            runs_.erase(spec.run);
            return answer(status);
          }
          const std::string id = spec.run.value();
          spdlog::info("run {}: {} submitted", id, spec.plan->name);
          dispatcher_->Submit(SystemClock().Now(), std::move(spec), no_wait);
          answer(id);
        };
  });
}

StatusOr<RunId> Shell::FindRun(const std::string& prefix) const {
  std::vector<RunId> found;
  if (!prefix.empty())
    for (const auto& [run, live] : runs_)
      if (run.value().starts_with(prefix)) found.push_back(run);
  if (found.size() == 1) return found.front();
  if (found.empty()) return NotFound("no run " + prefix + " is going on; `ctl runs` lists them");
  return InvalidArgument("\"" + prefix + "\" fits " + std::to_string(found.size()) +
                         " runs; give more digits");
}

v1::ListAgentsReply Shell::Agents() const {
  v1::ListAgentsReply reply;
  const Instant now = SystemClock().Now();
  for (const AgentView& view : dispatcher_->agents()) {
    v1::AgentInfo* info = reply.add_agents();
    info->set_id(view.facts.id.value());
    info->set_incarnation(Hex(view.facts.incarnation.value(), 16));
    info->set_state(view.state);
    info->set_reason(view.reason);
    info->set_run_id(view.run.value());
    info->set_host(view.facts.host);
    info->set_version(view.facts.version);
    info->set_loops(view.facts.loops);
    info->set_cores(view.facts.cores);
    info->set_rate_ceiling(static_cast<double>(view.facts.ceiling) / rate::kMicroPerUnit);
    info->mutable_labels()->insert(view.facts.labels.begin(), view.facts.labels.end());
    info->set_last_heard_s(std::chrono::duration<double>(now - view.heard).count());
  }
  return reply;
}

StatusOr<v1::ListRunsReply> Shell::Runs(uint32_t limit) const {
  BROADSIDE_ASSIGN_OR_RETURN(const auto rows, store_->ListRuns(limit == 0 ? 50 : limit));
  v1::ListRunsReply reply;
  for (const store::RunRow& row : rows) {
    v1::RunInfo* info = reply.add_runs();
    info->set_run_id(row.id);
    info->set_name(row.name);
    info->set_state(row.state);
    info->set_reason(row.state_reason);
    info->set_submitted_wall_ns(row.submitted_wall_ns);
    info->set_ended_wall_ns(row.ended_wall_ns.value_or(0));
    if (!row.ended_wall_ns) continue;
    if (const auto json = store_->GetReport(row.id); json.ok()) {
      const auto report = nlohmann::json::parse(*json, nullptr, /*allow_exceptions=*/false);
      if (report.is_object())
        info->set_validity(report["verdicts"]["validity"].value("verdict", ""));
    }
  }
  return reply;
}

StatusOr<std::string> Shell::Report(const std::string& run_id) const {
  StatusOr<std::string> exact = store_->GetReport(run_id);
  if (exact.ok()) return exact;
  BROADSIDE_ASSIGN_OR_RETURN(const store::RunRow row, FindStored(run_id));
  StatusOr<std::string> json = store_->GetReport(row.id);
  if (json.ok()) return json;
  return FailedPrecondition("run " + row.id + " has no report: it is " + row.state +
                            (row.state_reason.empty() ? "" : " (" + row.state_reason + ")"));
}

StatusOr<store::RunRow> Shell::FindStored(const std::string& prefix) const {
  if (StatusOr<store::RunRow> exact = store_->GetRun(prefix); exact.ok()) return exact;
  BROADSIDE_ASSIGN_OR_RETURN(const auto rows, store_->ListRuns(1000));
  std::vector<store::RunRow> fits;
  for (const store::RunRow& row : rows)
    if (!prefix.empty() && row.id.starts_with(prefix)) fits.push_back(row);
  if (fits.empty()) return NotFound("there is no run " + prefix + "; `ctl runs` lists them");
  if (fits.size() > 1)
    return InvalidArgument("\"" + prefix + "\" fits " + std::to_string(fits.size()) +
                           " runs; give more digits");
  return fits.front();
}

// ---- Watching --------------------------------------------------------------------------------

void Shell::Watch(const std::string& run_id, std::shared_ptr<ProgressSink> sink) {
  const StatusOr<RunId> run = FindRun(run_id);
  if (absl::IsNotFound(run.status())) {
    // Perhaps it ended before this controller started, and a watcher comes back to hear how.
    const StatusOr<store::RunRow> row = FindStored(run_id);
    if (!row.ok()) return sink->Fail(row.status());
    v1::Progress last;
    last.set_run_id(row->id);
    last.set_name(row->name);
    last.set_seed(row->seed);
    last.set_state(row->state);
    last.set_message(row->state_reason);
    last.set_closed(true);
    return sink->Push(last);
  }
  if (!run.ok()) return sink->Fail(run.status());
  LiveRun& live = runs_[*run];
  const RunCore* core = dispatcher_->Find(*run);
  if (core == nullptr) return sink->Fail(NotFound("run " + run_id + " is not going on"));
  sink->Push(MakeProgress(*core, live, live.merge->Live(), SystemClock().Now()));
  if (!core->ended()) live.watchers.push_back(std::move(sink));
}

v1::Progress Shell::MakeProgress(const RunCore& core, const LiveRun& live, const merge::View& view,
                                 Instant now) const {
  v1::Progress out;
  out.set_run_id(core.spec().run.value());
  out.set_name(live.name);
  out.set_seed(core.spec().seed);
  out.set_state(std::string(RunStateName(core.state())));
  out.set_message(core.ended() ? core.reason() : dispatcher_->WaitingFor(core.spec().run, now));
  if (out.message().empty() && !live.notices.empty()) out.set_message(live.notices.back());
  std::set<std::string> names;
  for (const auto& [incarnation, agent] : live.agents) names.insert(agent.id.value());
  for (const std::string& name : names) out.add_agents(name);
  for (const plan::PhaseRow& row : live.merge->phase_rows()) out.add_phases(row.name);
  RunTime end{};
  for (const rate::Segment& segment : core.spec().segments)
    end = std::max(end, segment.start + segment.length);
  out.set_total_ns(end.time_since_epoch().count());
  out.set_agents_live(static_cast<uint32_t>(core.live_agents()));
  out.set_closed(core.ended());
  if (!core.t0()) return out;
  const RunTime r = core.RunNow(now);
  out.set_elapsed_ns(r.time_since_epoch().count());
  for (const rate::Segment& segment : core.spec().segments)
    if (r >= segment.start) out.set_phase(segment.phase.value());
  out.set_interval(view.rate_interval);
  out.set_offered(view.total.scheduled_rate.value_or(0));
  out.set_sent_rate(view.total.sent_rate.value_or(0));
  for (const double rate : live.recent_rates) out.add_recent_rates(rate);
  out.set_in_flight(view.total.counters.in_flight);
  out.set_n(view.total.n);
  out.set_p50_ns(view.total.p50.value_or(0));
  out.set_p99_ns(view.total.p99.value_or(0));
  out.set_lag_p99_ns(view.lag_p99.value_or(0));
  out.set_wait_p99_ns(view.wait_p99.value_or(0));
  out.mutable_outcomes()->insert(view.total.outcomes.begin(), view.total.outcomes.end());
  out.set_scheduled(view.total.counters.scheduled);
  out.set_sent(view.total.counters.sent);
  int64_t bound = 0;
  for (const auto& [incarnation, tally] : live.merge->agents())
    bound = std::max(bound, static_cast<int64_t>(tally.health.clock_bound_ns));
  out.set_clock_bound_ns(bound);
  return out;
}

void Shell::OnInterval(Instant now) {
  std::map<RunId, merge::View> views;  // made once for all who look at it
  for (auto& [run, live] : runs_) {
    const RunCore* core = dispatcher_->Find(run);
    if (core == nullptr || !live.merge) continue;
    const merge::View& view = views.emplace(run, live.merge->Live()).first->second;
    if (core->state() == RunState::kRunning) {
      if (const auto fired = live.merge->CheckGuards())
        dispatcher_->StopRun(
            now, run, RunState::kAborted,
            "guard \"" + fired->rule + "\": " + fired->measured + ", " + fired->reason);
      live.recent_rates.push_back(view.total.sent_rate.value_or(0));
      if (live.recent_rates.size() > kRecentRates) live.recent_rates.pop_front();
    }
    std::erase_if(live.watchers, [](const auto& sink) { return sink->gone(); });
    if (live.watchers.empty()) continue;
    const v1::Progress progress = MakeProgress(*core, live, view, now);
    for (const auto& sink : live.watchers) sink->Push(progress);
    if (progress.closed()) live.watchers.clear();
  }
  PublishMetrics(views);
  for (const auto& [run, end] : unstored_ends_)
    writes_[store_->Enqueue(end)] = [this, run = run](const Status& status) {
      if (status.ok()) unstored_ends_.erase(run);
    };
  std::erase_if(runs_, [this, now](const auto& item) {
    const bool old = item.second.ended && now > *item.second.ended + kSeriesKept;
    if (old) {
      dispatcher_->Forget(item.first);
      held_.erase(item.first);
    }
    return old;
  });
}

void Shell::PublishMetrics(const std::map<RunId, merge::View>& views) {
  auto view = std::make_shared<server::MetricsView>();
  std::vector<std::pair<int64_t, const RunId*>> newest;
  for (const auto& [run, live] : runs_) newest.emplace_back(-live.submitted_wall, &run);
  std::sort(newest.begin(), newest.end());
  for (const auto& [age, run] : newest) {
    const LiveRun& live = runs_.at(*run);
    const auto seen = views.find(*run);
    if (seen == views.end()) continue;
    view->runs.push_back(ViewOf(*dispatcher_->Find(*run), *live.merge, seen->second));
    view->runs.back().plan_sha256 = live.plan_sha256;
    view->runs.back().validity = live.validity;
    view->runs.back().ledger_mismatch = live.ledger_mismatch;
  }
  for (const char* state : {"idle", "running", "draining", "refused", "lost"})
    view->agents[state] = 0;
  for (const AgentView& agent : dispatcher_->agents()) ++view->agents[agent.state];
  const store::StoreCounters store = store_->counters();
  view->incarnation = store_->incarnation();
  view->store = {store.queued_ops, store.queued_bytes, store.stored_ops,
                 store.failed_ops, store.refused_ops,  store.commits};
  board_.Publish(std::move(view));
}

}  // namespace broadside::controller
