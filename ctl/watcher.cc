#include "ctl/watcher.h"

#include <fstream>
#include <ostream>

#include "common/report/format.h"
#include "common/report/json.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {
namespace {

constexpr Nanos kRetryPause = std::chrono::milliseconds(500);
constexpr int kRetries = 60;  // with the pause: half a minute
// Messages come once an interval, not on the dot: a second less some slack.
constexpr int64_t kPlainEvery = 800'000'000;

report::ProgressOptions ProgressOptionsOf(const Env& env) {
  return {.width = env.width, .colour = env.colour && env.err_terminal, .unicode = env.unicode};
}

/// A run that ended before it had anything to report still gives one object.
report::Report ReportOfNothing(const report::Progress& last) {
  report::Report report;
  report.run_id = last.run_id;
  report.name = last.name;
  report.seed = last.seed;
  report.state = last.state;
  report.state_reason = last.message;
  report.validity = {
      .verdict = "INVALID", .reasons = {"the run ended before it had a report"}, .notes = {}};
  return report;
}

}  // namespace

StatusOr<Watcher::End> Watcher::Follow(const std::string& run) {
  while (true) {
    const Status status = client_.Watch(
        run, [this](const report::Progress& progress) { OnProgress(progress); },
        [this, &run] { return OnTick(run); });
    if (!cluster_status_.ok()) return cluster_status_;
    if (left_) return End::kLeft;
    if (status.ok()) return End::kClosed;
    const bool away = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    // Those two are an answer: there is no such run.
    if (absl::IsNotFound(status) || absl::IsInvalidArgument(status)) return status;
    if (!away || ++failures_ > kRetries) {
      EraseBlock();
      return Status(status.code(),
                    MessageOf(status) + " (the run may go on: ctl watch " + run + ")");
    }
    if (failures_ == 1) Say("lost the controller (" + MessageOf(status) + "); trying again");
    env_.sleep(kRetryPause);
    if (!OnTick(run)) {
      if (!cluster_status_.ok()) return cluster_status_;
      return End::kLeft;
    }
  }
}

void Watcher::OnProgress(const report::Progress& progress) {
  if (failures_ > 0) Say("back with the controller; the run is " + progress.state);
  failures_ = 0;
  last_ = progress;
  Draw(progress);
}

bool Watcher::OnTick(const std::string& run) {
  if (options_.cluster != nullptr) {
    cluster_status_ = options_.cluster->Check();
    if (!cluster_status_.ok()) {
      EraseBlock();
      return false;
    }
  }
  const int interrupts = env_.interrupts();
  if (interrupts == 0) return true;
  if (!options_.cancels) {
    left_ = true;
    Say("left; the run goes on (ctl watch " + run + ", ctl stop " + run + ")");
    return false;
  }
  if (!cancel_said_) {
    Say("cancelling: agents fall silent within 3 s; press again to leave at once; the cancel "
        "stands");
  }
  if (!cancelled_) {
    const Status status = client_.StopRun(run, "cancelled by " + env_.user);
    cancelled_ = status.ok();
    if (!cancelled_ && (!cancel_said_ || env_.interrupts() >= 2)) {
      Say("the cancel did not reach the controller (" + MessageOf(status) + ")" +
          (env_.interrupts() >= 2 ? ": it does not stand; ctl stop " + run : "; trying again"));
    }
  }
  cancel_said_ = true;
  if (env_.interrupts() >= 2) {
    left_ = true;
    EraseBlock();
    return false;
  }
  return true;
}

void Watcher::Draw(const report::Progress& progress) {
  const report::ProgressOptions options = ProgressOptionsOf(env_);
  // The head names the agents, so it waits until they are known.
  if (!head_shown_ && (!progress.agents.empty() || progress.closed)) {
    Say(report::RenderHead(progress, options));
    head_shown_ = true;
  }
  if (!env_.err_terminal) return DrawPlain(progress);
  EraseBlock();
  if (progress.closed) return;
  const std::vector<std::string> lines = report::RenderLive(progress, options);
  for (const std::string& line : lines) *env_.err << line << "\n";
  env_.err->flush();
  block_lines_ = lines.size();
}

void Watcher::DrawPlain(const report::Progress& progress) {
  const std::string line = report::RenderPlainLine(progress, ProgressOptionsOf(env_));
  const bool fires = progress.state == "running" || progress.state == "draining";
  // Intervals can be 50 ms: a log wants a line a second, and one at each change of phase.
  const bool due = progress.phase != plain_phase_ || plain_elapsed_ns_ == 0 ||
                   progress.elapsed_ns - plain_elapsed_ns_ >= kPlainEvery;
  if (line == plain_shown_ || (fires && !due)) return;
  if (fires) {
    plain_elapsed_ns_ = progress.elapsed_ns;
    plain_phase_ = progress.phase;
  }
  plain_shown_ = line;
  *env_.err << line << std::endl;
}

void Watcher::EraseBlock() {
  if (block_lines_ == 0) return;
  *env_.err << "\x1b[" << block_lines_ << "A\r\x1b[J";
  env_.err->flush();
  block_lines_ = 0;
}

void Watcher::Say(const std::string& line) {
  EraseBlock();
  *env_.err << line << std::endl;
}

int ShowReport(const Env& env, OperatorClient& client, const std::string& run,
               const std::optional<report::Progress>& last, const std::string& output, bool strict,
               const std::string& save) {
  StatusOr<std::string> text = client.GetReport(run);
  const bool none = absl::IsNotFound(text.status()) || absl::IsFailedPrecondition(text.status());
  if (none && last && report::IsEnded(last->state)) {
    text = report::ReportJsonText(ReportOfNothing(*last));
  }
  if (!text.ok()) return Fail(env, text.status());
  const StatusOr<report::Report> report = report::ReportFromJson(*text);
  if (!report.ok()) {
    Fail(env, report.status());
    return kExitFailed;
  }
  if (text->empty() || text->back() != '\n') *text += "\n";
  *env.out << (IsJson(output) ? *text : report::RenderText(*report, TextOptionsOf(env)));
  env.out->flush();
  if (!save.empty()) {
    std::ofstream file(save, std::ios::binary | std::ios::trunc);
    file << *text;
    file.close();
    if (!file) {
      *env.err << "ctl: --save: cannot write " << save << "\n";
      return kExitFailed;
    }
  }
  return report::ExitCode(*report, strict);
}

}  // namespace broadside::ctl
