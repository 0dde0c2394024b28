#include "common/wire/snapshot.h"

#include <zstd.h>

#include <memory>

#include "broadside/v1/fleet.pb.h"

namespace broadside::wire {
namespace {

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

std::string Compress(const std::string& raw) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  const size_t size =
      ZSTD_compressCCtx(context.get(), out.data(), out.size(), raw.data(), raw.size(), 3);
  out.resize(ZSTD_isError(size) ? 0 : size);
  return out;
}

/// The frame says how large it is unpacked; a lie is found out.
StatusOr<std::string> Decompress(const std::string& packed) {
  const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
    return InvalidArgument("snapshot body is not a zstd frame of known size");
  if (size > kMaxSnapshotBody)
    return InvalidArgument("snapshot body unpacks to " + std::to_string(size) +
                           " bytes; allowed are " + std::to_string(kMaxSnapshotBody));
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  std::string out(size, '\0');
  const size_t got =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) || got != size)
    return InvalidArgument("snapshot body does not unpack to its " + std::to_string(size) +
                           " bytes");
  return out;
}

void PackCounters(const stats::PhaseCounters& from, v1::PhaseCounters* to) {
  const stats::Counters& c = from.counters;
  to->set_phase(from.phase.value());
  to->set_target(from.target.value());
  to->set_scheduled(c.scheduled);
  to->set_sent(c.sent);
  to->set_dropped(c.dropped);
  to->set_expired(c.expired);
  to->set_waiting(c.waiting);
  to->set_ok(c.ok);
  to->set_rejected(c.rejected);
  to->set_failed(c.failed);
  to->set_in_flight(c.in_flight);
  to->set_after_stop(c.after_stop);
  to->set_unsent_failures(c.unsent_failures);
  to->set_own_fault(c.own_fault);
  to->set_limited(c.limited);
  to->set_bytes_out(c.bytes_out);
  to->set_bytes_in(c.bytes_in);
  to->set_inferences(c.inferences);
}

stats::PhaseCounters UnpackCounters(const v1::PhaseCounters& from) {
  return {.phase = PhaseIndex(from.phase()),
          .target = TargetIndex(from.target()),
          .counters = {.scheduled = from.scheduled(),
                       .sent = from.sent(),
                       .dropped = from.dropped(),
                       .expired = from.expired(),
                       .waiting = from.waiting(),
                       .ok = from.ok(),
                       .rejected = from.rejected(),
                       .failed = from.failed(),
                       .in_flight = from.in_flight(),
                       .after_stop = from.after_stop(),
                       .unsent_failures = from.unsent_failures(),
                       .own_fault = from.own_fault(),
                       .limited = from.limited(),
                       .bytes_out = from.bytes_out(),
                       .bytes_in = from.bytes_in(),
                       .inferences = from.inferences()}};
}

int64_t RunNanos(RunTime at) { return at.time_since_epoch().count(); }

void PackOutcome(const stats::OutcomeCount& from, v1::OutcomeCount* to) {
  to->set_phase(from.phase.value());
  to->set_target(from.target.value());
  to->set_outcome(from.outcome);
  to->set_total(from.total);
  to->set_in_interval(from.in_interval);
  if (from.in_interval == 0) return;
  to->set_first_due_run(RunNanos(from.first_due));
  to->set_last_due_run(RunNanos(from.last_due));
  to->set_first_end_run(RunNanos(from.first_end));
  to->set_last_end_run(RunNanos(from.last_end));
  to->set_longest_run(from.longest_run);
  to->set_alternations(from.alternations);
}

stats::OutcomeCount UnpackOutcome(const v1::OutcomeCount& from) {
  return {.phase = PhaseIndex(from.phase()),
          .target = TargetIndex(from.target()),
          .outcome = from.outcome(),
          .total = from.total(),
          .in_interval = from.in_interval(),
          .first_due = RunTime(Nanos(from.first_due_run())),
          .last_due = RunTime(Nanos(from.last_due_run())),
          .first_end = RunTime(Nanos(from.first_end_run())),
          .last_end = RunTime(Nanos(from.last_end_run())),
          .longest_run = from.longest_run(),
          .alternations = from.alternations()};
}

void PackCell(const stats::Cell& from, v1::Cell* to) {
  to->set_phase(from.phase.value());
  to->set_target(from.target.value());
  to->set_outcome(from.outcome);
  to->set_measure(std::string(stats::MeasureName(from.measure)));
  to->set_n(from.exact.n);
  to->set_sum_low(static_cast<uint64_t>(from.exact.sum));
  to->set_sum_high(static_cast<uint64_t>(from.exact.sum >> 64));
  to->set_min(from.exact.min);
  to->set_max(from.exact.max);
  to->set_overflow(from.exact.overflow);
  to->set_counts(from.counts);
}

stats::Cell UnpackCell(const v1::Cell& from, stats::Measure measure) {
  return {.phase = PhaseIndex(from.phase()),
          .target = TargetIndex(from.target()),
          .outcome = from.outcome(),
          .measure = measure,
          .exact = {.n = from.n(),
                    .sum = (uint128{from.sum_high()} << 64) | from.sum_low(),
                    .min = from.min(),
                    .max = from.max(),
                    .overflow = from.overflow()},
          .counts = from.counts()};
}

void PackHealth(const stats::AgentHealth& from, v1::AgentHealth* to) {
  to->set_loops(from.loops);
  to->set_busiest_loop_ppm(from.busiest_loop_ppm);
  to->set_cpu_ns(from.cpu_ns);
  to->set_throttled_ns(from.throttled_ns);
  to->set_clock_bound_ns(from.clock_bound_ns);
  to->set_clock_slew_ns(from.clock_slew_ns);
  to->set_folded_cells(from.folded_cells);
  to->set_outbox_dropped(from.outbox_dropped);
  to->set_start_skew_ns(from.start_skew_ns);
  to->set_stale_resets(from.stale_resets);
  to->set_unvalidated(from.unvalidated);
}

stats::AgentHealth UnpackHealth(const v1::AgentHealth& from) {
  return {.loops = from.loops(),
          .busiest_loop_ppm = from.busiest_loop_ppm(),
          .cpu_ns = from.cpu_ns(),
          .throttled_ns = from.throttled_ns(),
          .clock_bound_ns = from.clock_bound_ns(),
          .clock_slew_ns = from.clock_slew_ns(),
          .folded_cells = from.folded_cells(),
          .stale_resets = from.stale_resets(),
          .unvalidated = from.unvalidated(),
          .outbox_dropped = from.outbox_dropped(),
          .start_skew_ns = from.start_skew_ns()};
}

}  // namespace

SnapshotEnvelope PackSnapshot(const stats::Snapshot& snapshot, bool thin) {
  v1::SnapshotBody body;
  body.set_interval_length(snapshot.interval_length.count());
  for (const auto& c : snapshot.counters) PackCounters(c, body.add_counters());
  for (const auto& o : snapshot.outcomes) PackOutcome(o, body.add_outcomes());
  if (!thin)
    for (const auto& c : snapshot.cells) PackCell(c, body.add_cells());
  for (const auto& g : snapshot.gauges) {
    auto* gauge = body.add_gauges();
    gauge->set_target(g.target.value());
    gauge->set_in_flight_max(g.in_flight_max);
    gauge->set_in_flight_ns(g.in_flight_ns);
  }
  PackHealth(snapshot.health, body.mutable_health());
  const std::string raw = body.SerializeAsString();
  return {.run = snapshot.run,
          .incarnation = snapshot.incarnation,
          .sequence = snapshot.sequence,
          .interval = snapshot.interval,
          .final_totals = snapshot.final_totals,
          .body = Compress(raw)};
}

StatusOr<stats::Snapshot> UnpackSnapshot(const SnapshotEnvelope& envelope) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string raw, Decompress(envelope.body));
  v1::SnapshotBody body;
  if (!body.ParseFromString(raw))
    return InvalidArgument("snapshot body is not a SnapshotBody message");
  stats::Snapshot out;
  out.run = envelope.run;
  out.incarnation = envelope.incarnation;
  out.sequence = envelope.sequence;
  out.interval = envelope.interval;
  out.final_totals = envelope.final_totals;
  out.interval_length = Nanos(body.interval_length());
  for (const auto& c : body.counters()) out.counters.push_back(UnpackCounters(c));
  for (const auto& o : body.outcomes()) out.outcomes.push_back(UnpackOutcome(o));
  for (const auto& c : body.cells()) {
    stats::Measure measure;
    // A measure of a newer agent: kept in the stored body, not shown by this version.
    if (!stats::MeasureFromName(c.measure(), measure)) continue;
    out.cells.push_back(UnpackCell(c, measure));
  }
  for (const auto& g : body.gauges())
    out.gauges.push_back({TargetIndex(g.target()), g.in_flight_max(), g.in_flight_ns()});
  out.health = UnpackHealth(body.health());
  return out;
}

}  // namespace broadside::wire
