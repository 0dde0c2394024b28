#include "agent/engine/encoder.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <string>

#include "common/breaker/outcome.h"
#include "common/stats/codec.h"

namespace broadside::agent {
namespace {

using breaker::Outcome;

/// How often raw records are taken from the loops.
constexpr auto kRawPeriod = std::chrono::milliseconds(20);

std::string KeyName(int outcome) {
  return std::string(outcome == kAllSentKey ? stats::kAllSent
                                            : breaker::OutcomeName(static_cast<Outcome>(outcome)));
}

/// `in_interval` figures count only in parts of the interval itself, totals always.
void AddOutcome(const OutcomePart& part, bool present, OutcomePart& sum) {
  sum.total += part.total;
  if (!present || (part.in_interval == 0 && part.alternations == 0)) return;
  sum.alternations += part.alternations;
  if (part.in_interval == 0) return;
  if (sum.in_interval == 0) {
    sum.first_due = part.first_due;
    sum.last_due = part.last_due;
    sum.first_end = part.first_end;
    sum.last_end = part.last_end;
  } else {
    sum.first_due = std::min(sum.first_due, part.first_due);
    sum.last_due = std::max(sum.last_due, part.last_due);
    sum.first_end = std::min(sum.first_end, part.first_end);
    sum.last_end = std::max(sum.last_end, part.last_end);
  }
  sum.in_interval += part.in_interval;
  sum.longest_run = std::max(sum.longest_run, part.longest_run);
}

}  // namespace

Encoder::Encoder(Options options) : options_(std::move(options)), lanes_(options_.pools.size()) {
  thread_ = std::thread([this] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), "bs-encoder");
    Run();
  });
}

Encoder::~Encoder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

std::unique_ptr<IntervalPart> Encoder::TakeEmpty(bool last) {
  const std::lock_guard lock(mutex_);
  if (empty_.empty()) {
    if (made_ >= kMaxParts && !last) return nullptr;
    ++made_;
    return std::make_unique<IntervalPart>();
  }
  std::unique_ptr<IntervalPart> part = std::move(empty_.back());
  empty_.pop_back();
  return part;
}

void Encoder::Submit(size_t loop, std::unique_ptr<IntervalPart> part) {
  {
    const std::lock_guard lock(mutex_);
    lanes_[loop].final |= part->final;
    lanes_[loop].parts.push_back(std::move(part));
  }
  wake_.notify_one();
}

void Encoder::SetClockQuality(Nanos bound, Nanos pending_slew) {
  bound_ns_.store(bound.count(), std::memory_order_relaxed);
  slew_ns_.store(pending_slew < Nanos(0) ? -pending_slew.count() : pending_slew.count(),
                 std::memory_order_relaxed);
}

std::vector<std::unique_ptr<IntervalPart>> Encoder::NextInterval() {
  bool any = false;
  IntervalIndex next = 0;
  for (const Lane& lane : lanes_) {
    if (lane.parts.empty()) {
      if (!lane.final) return {};
      continue;
    }
    next = any ? std::min(next, lane.parts.front()->interval) : lane.parts.front()->interval;
    any = true;
  }
  if (!any) return {};
  std::vector<std::unique_ptr<IntervalPart>> parts(lanes_.size());
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].parts.empty() || lanes_[i].parts.front()->interval != next) continue;
    parts[i] = std::move(lanes_[i].parts.front());
    lanes_[i].parts.pop_front();
  }
  return parts;
}

void Encoder::Run() {
  for (;;) {
    std::vector<std::unique_ptr<IntervalPart>> parts;
    bool stop = false;
    {
      std::unique_lock lock(mutex_);
      parts = NextInterval();
      if (parts.empty()) {
        stop = stopping_;
        if (!stop && options_.raw_log != nullptr) {
          wake_.wait_for(lock, kRawPeriod);
        } else if (!stop) {
          wake_.wait_for(lock, std::chrono::seconds(1));
        }
      }
    }
    DrainRaw();
    if (!parts.empty()) Emit(std::move(parts));
    if (stop) break;
  }
  if (options_.raw_log != nullptr) {
    uint64_t dropped = 0;
    for (const RawRing* ring : options_.rings) dropped += ring->dropped();
    options_.raw_log->Finish(dropped);
  }
}

void Encoder::DrainRaw() {
  if (options_.raw_log == nullptr) return;
  for (RawRing* ring : options_.rings) {
    ring->Drain([this](const RawRecord& record) { options_.raw_log->Write(record); });
  }
}

void Encoder::Emit(std::vector<std::unique_ptr<IntervalPart>> parts) {
  stats::Snapshot snapshot;
  snapshot.run = options_.run;
  snapshot.incarnation = options_.owner;
  snapshot.sequence = ++sequence_;
  snapshot.interval_length = options_.interval;
  snapshot.final_totals = true;
  std::vector<const IntervalPart*> now;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] != nullptr) snapshot.interval = parts[i]->interval;
    const IntervalPart* latest = parts[i] != nullptr ? parts[i].get() : lanes_[i].last.get();
    if (latest != nullptr) now.push_back(latest);
    snapshot.final_totals &= latest != nullptr && latest->final;
  }
  MergeRows(now, snapshot.interval, snapshot);
  EncodeCells(parts, snapshot);
  FillHealth(parts, snapshot);
  // Raw records of this interval are in the file before anyone can hear of the interval.
  DrainRaw();
  if (snapshot.final_totals && options_.raw_log != nullptr) {
    uint64_t dropped = 0;
    for (const RawRing* ring : options_.rings) dropped += ring->dropped();
    options_.raw_log->Finish(dropped);
  }
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] == nullptr) continue;
      if (lanes_[i].last != nullptr) empty_.push_back(std::move(lanes_[i].last));
      lanes_[i].last = std::move(parts[i]);
    }
  }
  options_.sink(std::move(snapshot));
}

void Encoder::MergeRows(const std::vector<const IntervalPart*>& now, IntervalIndex interval,
                        stats::Snapshot& snapshot) const {
  std::map<Key, std::pair<stats::Counters, std::array<OutcomePart, breaker::kOutcomeCount>>> rows;
  for (const IntervalPart* part : now) {
    const bool present = part->interval == interval;
    for (const RowPart& row : part->rows) {
      auto& [counters, outcomes] = rows[{row.phase, row.target}];
      counters.Add(row.counters);
      for (size_t i = 0; i < outcomes.size(); ++i) {
        AddOutcome(row.outcomes[i], present, outcomes[i]);
      }
    }
    if (!present) continue;
    for (size_t i = 0; i < part->gauges.size(); ++i) {
      if (snapshot.gauges.size() <= i) {
        snapshot.gauges.push_back({TargetIndex(static_cast<uint32_t>(i)), 0, 0});
      }
      snapshot.gauges[i].in_flight_max += part->gauges[i].in_flight_max;
      snapshot.gauges[i].in_flight_ns += part->gauges[i].in_flight_ns;
    }
  }
  for (const auto& [key, row] : rows) {
    const auto& [counters, outcomes] = row;
    snapshot.counters.push_back({key.first, key.second, counters});
    for (size_t i = 0; i < outcomes.size(); ++i) {
      const OutcomePart& o = outcomes[i];
      if (o.total == 0) continue;
      snapshot.outcomes.push_back({key.first, key.second, KeyName(static_cast<int>(i)), o.total,
                                   o.in_interval, o.first_due, o.last_due, o.first_end, o.last_end,
                                   o.longest_run, o.alternations});
    }
  }
}

void Encoder::EncodeCells(const std::vector<std::unique_ptr<IntervalPart>>& parts,
                          stats::Snapshot& snapshot) {
  struct Source {
    CellPart cell;
    size_t loop;
  };
  std::vector<Source> sources;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == nullptr) continue;
    for (const CellPart& cell : parts[i]->cells) sources.push_back({cell, i});
    parts[i]->cells.clear();
  }
  const auto key = [](const CellPart& c) {
    return std::tuple(c.phase, c.target, c.outcome, c.measure);
  };
  std::sort(sources.begin(), sources.end(),
            [&](const Source& a, const Source& b) { return key(a.cell) < key(b.cell); });
  for (size_t i = 0; i < sources.size();) {
    size_t end = i + 1;
    while (end < sources.size() && key(sources[end].cell) == key(sources[i].cell)) ++end;
    const CellPart& first = sources[i].cell;
    stats::Cell cell{first.phase, first.target, KeyName(first.outcome), first.measure, {}, {}};
    if (end == i + 1) {
      cell.exact = first.histogram->exact();
      cell.counts = stats::EncodeCounts(*first.histogram);
    } else {
      stats::Histogram sum;
      for (size_t j = i; j < end; ++j) sources[j].cell.histogram->AddTo(sum);
      cell.exact = sum.exact();
      cell.counts = stats::EncodeCounts(sum);
    }
    for (; i < end; ++i) {
      sources[i].cell.histogram->Clear();
      options_.pools[sources[i].loop]->GiveBack(sources[i].cell.histogram);
    }
    snapshot.cells.push_back(std::move(cell));
  }
}

void Encoder::FillHealth(const std::vector<std::unique_ptr<IntervalPart>>& parts,
                         stats::Snapshot& snapshot) {
  stats::AgentHealth& health = snapshot.health;
  health.loops = static_cast<uint32_t>(parts.size());
  std::optional<Skew> first;
  for (size_t i = 0; i < parts.size(); ++i) {
    const IntervalPart* latest = parts[i] != nullptr ? parts[i].get() : lanes_[i].last.get();
    if (latest == nullptr) continue;
    health.folded_cells += latest->folded;
    health.stale_resets += latest->stale_resets;
    health.unvalidated += latest->unvalidated;
    if (latest->first_send && (!first || latest->first_send->due < first->due)) {
      first = latest->first_send;
    }
    if (parts[i] == nullptr) continue;
    const uint64_t ppm =
        std::min<uint64_t>(1'000'000, parts[i]->busy_ns * 1'000'000 /
                                          static_cast<uint64_t>(options_.interval.count()));
    health.busiest_loop_ppm = std::max(health.busiest_loop_ppm, static_cast<uint32_t>(ppm));
  }
  health.cpu_ns = ProcessCpuNanos();
  health.throttled_ns = CgroupThrottledNanos();
  health.clock_bound_ns = static_cast<uint64_t>(bound_ns_.load(std::memory_order_relaxed));
  health.clock_slew_ns = static_cast<uint64_t>(slew_ns_.load(std::memory_order_relaxed));
  if (first) health.start_skew_ns = first->late.count();
}

}  // namespace broadside::agent
