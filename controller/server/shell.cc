#include "controller/server/shell.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "common/base/check.h"
#include "common/plan/parse.h"
#include "common/plan/resolve.h"
#include "common/report/json.h"
#include "common/time/clock.h"
#include "common/wire/convert.h"
#include "common/wire/snapshot.h"
#include "controller/merge/validity.h"
#include "controller/server/view.h"

namespace broadside::controller {
namespace {

constexpr Nanos kTick = std::chrono::seconds(1);
constexpr Nanos kSeriesKept = std::chrono::minutes(15);
constexpr size_t kRecentRates = 40;
constexpr size_t kMaxNotices = 100;

uint64_t RandomBits() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

std::string Hex(uint64_t value, int digits) {
  char text[24];
  std::snprintf(text, sizeof(text), "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

std::string LabelsJson(const std::map<std::string, std::string>& labels) {
  return nlohmann::json(labels).dump();
}

}  // namespace

StatusOr<std::unique_ptr<Shell>> Shell::Start(const std::string& store_dir) {
  std::unique_ptr<Shell> shell(new Shell());
  BROADSIDE_ASSIGN_OR_RETURN(
      shell->store_,
      store::Store::Open({.dir = store_dir, .on_stored = [raw = shell.get()](auto results) {
                            raw->OnStored(std::move(results));
                          }}));
  shell->boot_id_ = BootId();
  shell->dispatcher_ = std::make_unique<Dispatcher>(CoreOptions{
      .controller_incarnation = shell->store_->incarnation(), .boot_id = shell->boot_id_});
  shell->core_thread_ = std::thread([raw = shell.get()] { raw->CoreLoop(); });
  return shell;
}

Shell::~Shell() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (core_thread_.joinable()) core_thread_.join();
  for (std::thread& closer : closers_) closer.join();
  if (store_) store_->Close(std::chrono::seconds(10));
}

// ---- The core thread
// -------------------------------------------------------------------------------

void Shell::Post(Job job) {
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(std::move(job));
}

std::deque<Shell::Job> Shell::WaitForJobs() {
  const Instant now = SystemClock().Now();
  Instant until = next_interval_;
  if (const auto deadline = dispatcher_->NextDeadline()) until = std::min(until, *deadline);
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(
                              +[](Shell* shell) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                                return !shell->jobs_.empty() || shell->stopping_;
                              },
                              this),
                          absl::FromChrono(std::max(Nanos(0), until - now)));
  return std::exchange(jobs_, {});
}

void Shell::CoreLoop() {
  next_interval_ = SystemClock().Now();
  while (true) {
    for (Job& job : WaitForJobs()) {
      job();
      Settle();
    }
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ && jobs_.empty()) return;
    }
    const Instant now = SystemClock().Now();
    dispatcher_->Tick(now);
    Settle();
    if (now < next_interval_) continue;
    OnInterval(now);
    next_interval_ = std::max(next_interval_ + kTick, now + kTick / 2);
  }
}

void Shell::Settle() {
  for (auto actions = dispatcher_->TakeActions(); !actions.empty();
       actions = dispatcher_->TakeActions())
    for (Action& action : actions) Perform(std::move(action));
}

void Shell::Perform(Action action) {
  if (action.after != 0) {
    held_[action.run][std::exchange(action.after, 0)].push_back(std::move(action));
    return;
  }
  std::visit([this, &action](auto& what) { Do(action, what); }, action.what);
}

void Shell::Do(Action&, SendTo& what) {
  if (const auto it = streams_.find(what.agent); it != streams_.end())
    it->second->Send(what.message);
}

void Shell::Do(Action& action, StoreState& what) {
  const RunId run = action.run;
  spdlog::info("run {}: {}{}{}", run.value(), RunStateName(what.state),
               what.reason.empty() ? "" : ": ", what.reason);
  store::SetRunState op{run.value(), std::string(RunStateName(what.state)), what.reason,
                        std::nullopt};
  if (IsEnded(what.state)) {
    op.ended_wall_ns = WallNanos();
    runs_[run].ended = SystemClock().Now();
  }
  Write(run, action.token, std::move(op));
}

void Shell::Do(Action& action, StoreStart& what) {
  const int64_t wall = WallNanos() + (what.t0 - SystemClock().Now()).count();
  runs_[action.run].t0_wall = wall;
  Write(action.run, action.token,
        store::SetStart{action.run.value(), what.t0.time_since_epoch().count(), boot_id_, wall});
}

void Shell::Do(Action& action, StoreEntry& what) {
  const bool deal = std::holds_alternative<rate::Deal>(what.entry.what);
  Write(
      action.run, action.token,
      store::PutEntry{action.run.value(),
                      {what.entry.number, deal ? "deal" : "segment", wire::PackEntry(what.entry)}});
}

void Shell::Do(Action& action, StoreAgent& what) {
  const AgentFacts& agent = what.agent;
  runs_[action.run].agents[agent.incarnation] = agent;
  const nlohmann::json info{{"host", agent.host},
                            {"version", agent.version},
                            {"loops", agent.loops},
                            {"cores", agent.cores},
                            {"rate_ceiling_micro", agent.ceiling}};
  Write(action.run, action.token,
        store::PutRunAgent{
            action.run.value(),
            {agent.id.value(), agent.incarnation.value(), LabelsJson(agent.labels), info.dump()}});
}

void Shell::Do(Action& action, StoreSnapshot& what) {
  const wire::SnapshotEnvelope& from = *what.snapshot;
  const LiveRun& live = runs_[action.run];
  const auto agent = live.agents.find(from.incarnation);
  store::PutSnapshot op{.run = action.run.value(),
                        .agent_id = agent == live.agents.end() ? "" : agent->second.id.value(),
                        .incarnation = from.incarnation.value(),
                        .sequence = from.sequence,
                        .interval = from.interval,
                        .final_totals = from.final_totals,
                        .body = from.body};
  const auto token = store_->TryEnqueue(std::move(op));
  const auto done = [this, run = action.run, mine = action.token](const Status& status) {
    dispatcher_->StoreResult(SystemClock().Now(), run, mine, status.ok() ? "" : MessageOf(status));
    auto& waiting = held_[run];
    const auto it = waiting.find(mine);
    if (it == waiting.end()) return;
    std::vector<Action> actions = std::move(it->second);
    waiting.erase(it);
    if (!status.ok()) return;
    for (Action& held : actions) Perform(std::move(held));
  };
  if (!token) return done(ResourceExhausted("the store's queue is full"));
  writes_[*token] = done;
}

void Shell::Do(Action& action, FreeAgent&) { BROADSIDE_CHECK(action.token == 0); }

void Shell::Do(Action& action, Notice& what) {
  spdlog::warn("run {}: {}", action.run.value(), what.text);
  auto& notices = runs_[action.run].notices;
  notices.push_back(std::move(what.text));
  if (notices.size() > kMaxNotices) notices.pop_front();
}

void Shell::Write(const RunId& run, StoreToken token, store::StoreOp op) {
  writes_[store_->Enqueue(std::move(op))] = [this, run, token](const Status& status) {
    dispatcher_->StoreResult(SystemClock().Now(), run, token, status.ok() ? "" : MessageOf(status));
  };
}

void Shell::OnStored(std::vector<store::StoreResult> results) {
  Post([this, results = std::move(results)] {
    for (const store::StoreResult& result : results) Finished(result.token, result.status);
  });
}

void Shell::Finished(store::StoreToken token, const Status& status) {
  const auto it = writes_.find(token);
  if (it == writes_.end()) return;
  if (!status.ok()) spdlog::error("store: {}", MessageOf(status));
  auto done = std::move(it->second);
  writes_.erase(it);
  done(status);
}

// ---- Agents
// ----------------------------------------------------------------------------------------

FleetEvents Shell::fleet_events() {
  // The stream knows its agent only after hello; the core thread keeps who is who.
  struct Who {
    std::map<AgentStream*, Incarnation> of;
  };
  const auto who = std::make_shared<Who>();
  FleetEvents events;
  events.connected = [this, who](std::shared_ptr<AgentStream> stream, wire::Hello hello) {
    Post([this, who, stream = std::move(stream), hello = std::move(hello)]() mutable {
      spdlog::info("agent {} connected from {}", hello.agent.value(), hello.host);
      who->of[stream.get()] = hello.incarnation;
      if (auto& old = streams_[hello.incarnation]; old && old != stream)
        old->Close("replaced by a newer stream");
      streams_[hello.incarnation] = std::move(stream);
      dispatcher_->Connected(SystemClock().Now(), hello);
    });
  };
  events.received = [this, who](std::shared_ptr<AgentStream> stream, wire::AgentMessage message) {
    Post([this, who, stream = std::move(stream), message = std::move(message)]() mutable {
      const auto it = who->of.find(stream.get());
      if (it != who->of.end())
        dispatcher_->Received(SystemClock().Now(), it->second, std::move(message));
    });
  };
  events.snapshot = [this, who](std::shared_ptr<AgentStream> stream,
                                wire::SnapshotEnvelope envelope, stats::Snapshot snapshot) {
    Post([this, who, stream = std::move(stream), envelope = std::move(envelope),
          snapshot = std::move(snapshot)]() mutable {
      const auto it = who->of.find(stream.get());
      if (it == who->of.end()) return;
      if (const auto live = runs_.find(envelope.run); live != runs_.end() && live->second.merge) {
        const auto agent = live->second.agents.find(envelope.incarnation);
        const AgentId id = agent == live->second.agents.end() ? AgentId("?") : agent->second.id;
        if (const Status status = live->second.merge->Fold(id, snapshot); !status.ok())
          spdlog::error("run {}: {}", envelope.run.value(), MessageOf(status));
      }
      dispatcher_->Received(SystemClock().Now(), it->second, std::move(envelope));
    });
  };
  events.disconnected = [this, who](std::shared_ptr<AgentStream> stream, std::string reason) {
    Post([this, who, stream = std::move(stream), reason = std::move(reason)] {
      const auto it = who->of.find(stream.get());
      if (it == who->of.end()) return;
      const Incarnation agent = it->second;
      who->of.erase(it);
      if (const auto current = streams_.find(agent);
          current != streams_.end() && current->second == stream) {
        streams_.erase(current);
        dispatcher_->Disconnected(SystemClock().Now(), agent, reason);
      }
    });
  };
  events.file = [this](const std::string& sha256) { return store_->GetFile(sha256); };
  return events;
}

// ---- Operators
// -------------------------------------------------------------------------------------

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
  merge::Segments out;
  for (const rate::Segment& segment : segments) {
    std::shared_ptr<const std::vector<int64_t>> list;
    if (segment.kind == rate::ArrivalKind::kList) {
      BROADSIDE_ASSIGN_OR_RETURN(const std::string content, store_->GetFile(segment.replay.sha256));
      BROADSIDE_ASSIGN_OR_RETURN(auto rows,
                                 plan::ReadReplay(content, segment.replay.format,
                                                  plan.phases[segment.phase.value()].name));
      list = std::make_shared<const std::vector<int64_t>>(std::move(rows));
    }
    BROADSIDE_ASSIGN_OR_RETURN(auto compiled,
                               rate::CompiledSegment::Make(segment, std::move(list)));
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
        by = request.submitted_by(), answer = std::move(answer)]() mutable {
    const RunId run = spec.run;
    LiveRun live{.name = spec.plan->name,
                 .plan_sha256 = plan::Sha256Hex(spec.plan_json),
                 .submitted_by = by,
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
  BROADSIDE_ASSIGN_OR_RETURN(const auto rows, store_->ListRuns(1000));
  std::vector<store::RunRow> fits;
  for (const store::RunRow& row : rows)
    if (!run_id.empty() && row.id.starts_with(run_id)) fits.push_back(row);
  if (fits.empty()) return NotFound("there is no run " + run_id + "; `ctl runs` lists them");
  if (fits.size() > 1)
    return InvalidArgument("\"" + run_id + "\" fits " + std::to_string(fits.size()) +
                           " runs; give more digits");
  StatusOr<std::string> json = store_->GetReport(fits.front().id);
  if (json.ok()) return json;
  return FailedPrecondition(
      "run " + fits.front().id + " has no report: it is " + fits.front().state +
      (fits.front().state_reason.empty() ? "" : " (" + fits.front().state_reason + ")"));
}

// ---- Watching
// --------------------------------------------------------------------------------------

void Shell::Watch(const std::string& run_id, std::shared_ptr<ProgressSink> sink) {
  const StatusOr<RunId> run = FindRun(run_id);
  if (!run.ok()) return sink->Fail(run.status());
  LiveRun& live = runs_[*run];
  const RunCore* core = dispatcher_->Find(*run);
  if (core == nullptr) return sink->Fail(NotFound("run " + run_id + " is not going on"));
  sink->Push(MakeProgress(*core, live, SystemClock().Now()));
  if (!core->ended()) live.watchers.push_back(std::move(sink));
}

v1::Progress Shell::MakeProgress(const RunCore& core, LiveRun& live, Instant now) const {
  v1::Progress out;
  const plan::Plan& plan = *core.spec().plan;
  out.set_run_id(core.spec().run.value());
  out.set_name(live.name);
  out.set_seed(core.spec().seed);
  out.set_state(std::string(RunStateName(core.state())));
  out.set_message(core.ended() ? core.reason() : dispatcher_->WaitingFor(core.spec().run, now));
  if (out.message().empty() && !live.notices.empty()) out.set_message(live.notices.back());
  std::set<std::string> names;
  for (const auto& [incarnation, agent] : live.agents) names.insert(agent.id.value());
  for (const std::string& name : names) out.add_agents(name);
  for (const plan::Phase& phase : plan.phases) out.add_phases(phase.name);
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
  const merge::View view = live.merge->Live();
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
  for (auto& [run, live] : runs_) {
    const RunCore* core = dispatcher_->Find(run);
    if (core == nullptr || !live.merge) continue;
    if (core->state() == RunState::kRunning) {
      live.recent_rates.push_back(live.merge->Live().total.sent_rate.value_or(0));
      if (live.recent_rates.size() > kRecentRates) live.recent_rates.pop_front();
    }
    std::erase_if(live.watchers, [](const auto& sink) { return sink->gone(); });
    if (live.watchers.empty()) continue;
    const v1::Progress progress = MakeProgress(*core, live, now);
    for (const auto& sink : live.watchers) sink->Push(progress);
    if (progress.closed()) live.watchers.clear();
  }
  PublishMetrics();
  std::erase_if(runs_, [this, now](const auto& item) {
    const bool old = item.second.ended && now > *item.second.ended + kSeriesKept;
    if (old) {
      dispatcher_->Forget(item.first);
      held_.erase(item.first);
    }
    return old;
  });
}

void Shell::PublishMetrics() {
  auto view = std::make_shared<server::MetricsView>();
  std::vector<std::pair<int64_t, const RunId*>> newest;
  for (const auto& [run, live] : runs_) newest.emplace_back(-live.submitted_wall, &run);
  std::sort(newest.begin(), newest.end());
  for (const auto& [age, run] : newest) {
    const LiveRun& live = runs_.at(*run);
    const RunCore* core = dispatcher_->Find(*run);
    if (core == nullptr || !live.merge) continue;
    view->runs.push_back(ViewOf(*core, *live.merge));
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

// ---- Closing
// ---------------------------------------------------------------------------------------

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
    closing.agent_of[agent.id.value()] = incarnation;
  }
  std::map<ShardEpoch, std::shared_ptr<const rate::Deal>> deals;
  for (rate::Deal& deal : what.deals) {
    const ShardEpoch epoch = deal.epoch;
    deals[epoch] = std::make_shared<const rate::Deal>(std::move(deal));
  }
  for (const GrantFact& grant : what.grants)
    facts.grants.push_back({grant.owner, deals[grant.epoch], grant.first, grant.last});
  closers_.emplace_back(
      [this, closing = std::move(closing)]() mutable { CloseOn(std::move(closing)); });
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
    writes_[token] = [](const Status&) {};
    const auto last = store_->Enqueue(store::SetRunState{closing.run.value(), closing.facts.state,
                                                         closing.facts.state_reason,
                                                         closing.facts.ended_wall_ns});
    writes_[last] = [this, run = closing.run, mine = closing.token, validity, mismatch](
                        const Status& stored) { Closed(run, mine, stored, validity, mismatch); };
  });
}

void Shell::Closed(const RunId& run, StoreToken token, const Status& status, std::string validity,
                   int64_t mismatch) {
  LiveRun& live = runs_[run];
  live.validity = std::move(validity);
  live.ledger_mismatch = mismatch;
  live.ended = SystemClock().Now();
  dispatcher_->StoreResult(*live.ended, run, token, status.ok() ? "" : MessageOf(status));
  spdlog::info("run {}: closed", run.value());
  next_interval_ = *live.ended;  // watchers hear of it at once
}

}  // namespace broadside::controller
