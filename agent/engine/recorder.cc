#include "agent/engine/recorder.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace broadside::agent {

HistogramPool::HistogramPool(size_t at_start, size_t cap) : cap_(cap) {
  all_.reserve(cap);
  free_.reserve(cap);
  returned_.reserve(cap);
  for (size_t i = 0; i < std::min(at_start, cap); ++i) {
    all_.push_back(std::make_unique<stats::IntervalHistogram>());
    free_.push_back(all_.back().get());
  }
}

stats::IntervalHistogram* HistogramPool::Take(bool core) {
  if (free_.empty()) {
    const std::lock_guard lock(mutex_);
    free_.insert(free_.end(), returned_.begin(), returned_.end());
    returned_.clear();
  }
  if (free_.empty() && all_.size() < (core ? cap_ : cap_ * 2 / 3)) {
    all_.push_back(std::make_unique<stats::IntervalHistogram>());
    return all_.back().get();
  }
  if (free_.empty()) return nullptr;
  stats::IntervalHistogram* taken = free_.back();
  free_.pop_back();
  return taken;
}

void HistogramPool::GiveBack(stats::IntervalHistogram* histogram) {
  const std::lock_guard lock(mutex_);
  returned_.push_back(histogram);
}

void Recorder::Gauge::Move(Instant at, int by) {
  if (at > changed) {
    integral_ns += now * static_cast<uint64_t>((at - changed).count());
    changed = at;
  }
  now = static_cast<uint64_t>(static_cast<int64_t>(now) + by);
  max = std::max(max, now);
}

Recorder::Recorder(size_t phases, size_t targets, Nanos interval, HistogramPool& pool)
    : targets_(targets),
      interval_(interval),
      pool_(pool),
      by_key_(phases * targets),
      gauges_(targets) {
  rows_.reserve(by_key_.size());
  cells_.reserve(256);
}

Row& Recorder::RowOf(PhaseIndex phase, TargetIndex target) {
  const size_t key = size_t{phase.value()} * targets_ + target.value();
  BROADSIDE_CHECK(key < by_key_.size() && target.value() < targets_);
  if (by_key_[key] == nullptr) {
    by_key_[key] = std::make_unique<Row>();
    by_key_[key]->phase = phase;
    by_key_[key]->target = target;
    rows_.push_back(by_key_[key].get());
  }
  return *by_key_[key];
}

stats::IntervalHistogram* Recorder::Cell(Row& row, int outcome, stats::Measure measure) {
  const bool core = outcome == static_cast<int>(breaker::Outcome::kOk) || outcome == kAllSentKey ||
                    outcome == static_cast<int>(breaker::Outcome::kOther);
  stats::IntervalHistogram* cell = pool_.Take(core);
  if (cell != nullptr) cells_.push_back({row.phase, row.target, outcome, measure, cell});
  return cell;
}

void Recorder::Record(stats::IntervalHistogram*& cell, Row& row, int outcome,
                      stats::Measure measure, Nanos value) {
  if (cell == nullptr) cell = Cell(row, outcome, measure);
  if (cell == nullptr && outcome != static_cast<int>(breaker::Outcome::kOther) &&
      measure == stats::Measure::kLatency) {
    ++folded_;
    constexpr auto kOther = static_cast<int>(breaker::Outcome::kOther);
    return Record(row.classes[kOther].latency, row, kOther, measure, value);
  }
  if (cell == nullptr) {
    ++folded_;
    return;
  }
  cell->Record(std::max<int64_t>(0, value.count()));
}

void Recorder::Sent(Row& row, const rate::Arrival& arrival, const Times& times) {
  ++row.counters.sent;
  ++row.counters.in_flight;
  if (stop_ && arrival.due >= *stop_) ++row.counters.after_stop;
  const IntervalIndex k = IntervalOf(arrival.due, interval_);
  Row::DueSlot& slot = row.sent_by_due[static_cast<size_t>(k & (Row::kDueSlots - 1))];
  if (slot.interval != k) slot = {k, 0};
  ++slot.sent;
  Record(row.lag, row, kAllSentKey, stats::Measure::kLag, times.ready - times.due);
  gauges_[row.target.value()].Move(times.sent, 1);
  if (!first_send_) first_send_ = Skew{arrival.due, times.sent - times.due};
}

void Recorder::Ended(Row& row, breaker::Outcome outcome, RunTime due, const Times& times) {
  --row.counters.in_flight;
  gauges_[row.target.value()].Move(times.completed, -1);
  switch (breaker::GroupOf(outcome)) {
    case breaker::OutcomeGroup::kOk:
      ++row.counters.ok;
      break;
    case breaker::OutcomeGroup::kRejected:
      ++row.counters.rejected;
      break;
    case breaker::OutcomeGroup::kFailed:
      ++row.counters.failed;
      break;
  }
  const int index = static_cast<int>(outcome);
  Row::Class& c = row.classes[static_cast<size_t>(index)];
  ++c.total;
  if (c.in_interval++ == 0) {
    c.first_due = c.last_due = due;
    c.first_end = times.completed;
  } else {
    c.first_due = std::min(c.first_due, due);
    c.last_due = std::max(c.last_due, due);
  }
  c.last_end = times.completed;
  if (row.last_class != index) {
    if (row.last_class >= 0) {
      ++c.alternations;
      ++row.classes[static_cast<size_t>(row.last_class)].alternations;
    }
    row.last_class = index;
    row.run = 0;
  }
  c.longest_run = std::max(c.longest_run, ++row.run);
  Record(c.latency, row, index, stats::Measure::kLatency, times.completed - times.due);
  if (outcome != breaker::Outcome::kOk) return;
  Record(row.service, row, index, stats::Measure::kService, times.completed - times.sent);
  Record(row.wait, row, index, stats::Measure::kWait, times.sent - times.ready);
  Record(row.first_byte, row, index, stats::Measure::kFirstByte, times.first_byte - times.sent);
}

void Recorder::StopAt(RunTime end) {
  if (stop_ && *stop_ <= end) return;
  stop_ = end;
  const IntervalIndex first = IntervalOf(end, interval_);
  for (Row* row : rows_) {
    row->counters.after_stop = 0;
    for (const Row::DueSlot& slot : row->sent_by_due) {
      if (slot.interval >= first) row->counters.after_stop += slot.sent;
    }
  }
}

void Recorder::StartAt(Instant now) {
  for (Gauge& gauge : gauges_) gauge.changed = now;
}

void Recorder::CloseRow(Row& row, const ClockFit& fit, RowPart& part) {
  part.phase = row.phase;
  part.target = row.target;
  part.counters = row.counters;
  for (size_t i = 0; i < row.classes.size(); ++i) {
    Row::Class& c = row.classes[i];
    OutcomePart& out = part.outcomes[i];
    out = OutcomePart{};
    out.total = c.total;
    if (c.in_interval > 0) {
      out.in_interval = c.in_interval;
      out.first_due = c.first_due;
      out.last_due = c.last_due;
      out.first_end = fit.RunAt(c.first_end);
      out.last_end = fit.RunAt(c.last_end);
      out.longest_run = c.longest_run;
    }
    out.alternations = c.alternations;
    c.in_interval = 0;
    c.longest_run = c.alternations = 0;
    c.latency = nullptr;
  }
  row.service = row.wait = row.first_byte = row.lag = nullptr;
  row.run = 0;
}

void Recorder::Close(IntervalIndex interval, Instant end, const ClockFit& fit, IntervalPart& part) {
  part.interval = interval;
  part.rows.resize(rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) CloseRow(*rows_[i], fit, part.rows[i]);
  part.cells.clear();
  part.cells.insert(part.cells.end(), cells_.begin(), cells_.end());
  cells_.clear();
  part.gauges.resize(gauges_.size());
  for (size_t i = 0; i < gauges_.size(); ++i) {
    Gauge& gauge = gauges_[i];
    gauge.Move(end, 0);
    part.gauges[i] = {gauge.max, gauge.integral_ns};
    gauge.max = gauge.now;
    gauge.integral_ns = 0;
  }
  part.folded = folded_;
  part.first_send = first_send_;
}

}  // namespace broadside::agent
