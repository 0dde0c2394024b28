#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/time/clock_map.h"
#include "common/wire/messages.h"

namespace broadside::agent {

// ---- Events ------------------------------------------------------------------------------------

struct StreamUp {};
struct StreamDown {
  std::string reason;
};
/// A message from the controller, with the instant its bytes were read.
struct FromController {
  wire::ControllerMessage message;
  Instant received{};
};
struct RunPrepared {
  RunId run;
  std::string error;
  std::vector<std::string> warnings;
};
/// A snapshot of the engine, packed; `thin` is the same without histograms.
struct SnapshotMade {
  wire::SnapshotEnvelope full, thin;
};
struct DrainWanted {};
using CoreEvent =
    std::variant<StreamUp, StreamDown, FromController, RunPrepared, SnapshotMade, DrainWanted>;

// ---- Actions ---------------------------------------------------------------------------------

struct OpenStream {};
/// Give the present stream up; StreamDown follows.
struct CloseStream {
  std::string reason;
};
struct Say {
  wire::AgentMessage message;
};
/// Fetch files, build requests, open connections; answer with RunPrepared.
struct PrepareRun {
  wire::Assignment assignment;
};
struct ApplyEntry {
  wire::Entry entry;
};
struct SetRunClock {
  ClockFit fit;
  Nanos bound{};
  Nanos pending_slew{};
};
struct GrantLease {
  ShardEpoch epoch;
  IntervalIndex last = 0;
  Instant lease_end{};
};
struct StopEngine {
  RunTime end{};
};
struct FinishEngine {
  RunTime end{};
};
/// The run is over for this agent: destroy its engine.
struct DropRun {
  RunId run;
};
struct Log {
  std::string text;
  bool warning = false;
};
/// Drained: the process may end.
struct Exit {};
using CoreAction = std::variant<OpenStream, CloseStream, Say, PrepareRun, ApplyEntry, SetRunClock,
                                GrantLease, StopEngine, FinishEngine, DropRun, Log, Exit>;

struct AgentCoreOptions {
  wire::Hello hello;  ///< without `held`
  Nanos lease = wire::kLease;
  size_t outbox_bytes_max = size_t{32} << 20;  ///< beyond it the oldest lose their histograms
};

/// Decides what an agent says and does: stream, clock, lease, outbox. Pure, like the controller's
/// core: time comes in, actions go out. Times are this host's CLOCK_BOOTTIME. One thread.
class AgentCore {
 public:
  explicit AgentCore(AgentCoreOptions options);

  void Step(Instant now, CoreEvent event);
  void Tick(Instant now);
  std::optional<Instant> NextDeadline() const;
  std::vector<CoreAction> TakeActions();

  bool connected() const { return stream_ == Stream::kUp; }
  /// "waiting for a controller", "idle", "run 7f3a2c": for /readyz and logs.
  std::string status() const;
  uint64_t outbox_dropped() const { return outbox_dropped_; }
  size_t outbox_bytes() const { return outbox_bytes_; }
  Nanos clock_bound(Instant now) const { return clock_.ready() ? clock_.Bound(now) : Nanos(0); }

 private:
  enum class Stream : uint8_t { kDown, kOpening, kUp };
  struct Outgoing {
    wire::SnapshotEnvelope full, thin;
    bool thinned = false;
    bool sent = false;
    Instant sent_at{};
  };
  struct ActiveRun {
    wire::Assignment assignment;
    std::optional<RunPrepared> prepared;
    uint32_t entries = 0;
    std::optional<Instant> t0;      ///< the controller's clock
    std::string boot_id;            ///< whose clock t0 is of
    std::optional<ClockFit> clock;  ///< as the loops have it
    uint64_t last_sequence = 0;
    std::optional<RunTime> stop_end;
    std::string stop_reason, stop_as;
    std::map<ShardEpoch, IntervalIndex> granted;  ///< the greatest interval of each epoch
    bool released = false;
  };

  void On(Instant now, StreamUp&);
  void On(Instant now, StreamDown& event);
  void On(Instant now, FromController& event);
  void On(Instant now, RunPrepared& event);
  void On(Instant now, SnapshotMade& event);
  void On(Instant now, DrainWanted&);

  void Hear(Instant now, Instant received, wire::Welcome& message);
  void Hear(Instant now, Instant received, wire::HeartbeatReply& message);
  void Hear(Instant now, Instant received, wire::Assignment& message);
  void Hear(Instant now, Instant received, wire::Entry& message);
  void Hear(Instant now, Instant received, wire::Start& message);
  void Hear(Instant now, Instant received, wire::Grant& message);
  void Hear(Instant now, Instant received, wire::SnapshotAck& message);
  void Hear(Instant now, Instant received, wire::Stop& message);
  void Hear(Instant now, Instant received, wire::Finish& message);
  void Hear(Instant now, Instant received, wire::Release& message);

  bool IsMine(const RunId& run) const { return run_ && run_->assignment.run == run; }
  bool Obeys(uint64_t controller_incarnation);
  void PublishClock(Instant now);
  wire::HeldRun Held(Instant now);
  void Beat(Instant now);
  void SendOutbox(Instant now);
  void ResendUnanswered(Instant now);
  void ThinOutbox();
  void ForgetIfDone();

  AgentCoreOptions options_;
  Stream stream_ = Stream::kDown;
  Instant next_try_{};
  Instant down_since_{};
  Instant heard_{};  ///< the last word of the controller, or when the stream was asked for
  bool giving_up_ = false;
  bool deaf_ = false;  ///< the present stream is an older controller's than the last one's
  Nanos backoff_{};
  Instant next_beat_{};
  int quick_beats_ = 0;
  uint64_t controller_incarnation_ = 0;  ///< the highest seen
  ClockMap clock_;
  std::string clock_boot_;  ///< whose clock the samples are of; empty before the first
  std::optional<ActiveRun> run_;
  std::deque<Outgoing> outbox_;
  size_t outbox_bytes_ = 0;
  uint64_t outbox_dropped_ = 0;
  bool draining_ = false;
  bool exited_ = false;
  std::vector<CoreAction> actions_;
};

}  // namespace broadside::agent
