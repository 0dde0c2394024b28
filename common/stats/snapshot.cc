#include "common/stats/snapshot.h"

namespace broadside::stats {

std::string_view MeasureName(Measure measure) {
  switch (measure) {
    case Measure::kLatency:
      return "latency";
    case Measure::kService:
      return "service";
    case Measure::kWait:
      return "wait";
    case Measure::kFirstByte:
      return "first_byte";
    case Measure::kLag:
      return "lag";
  }
  return "";
}

bool MeasureFromName(std::string_view name, Measure& measure) {
  for (const Measure candidate : kMeasures) {
    if (MeasureName(candidate) == name) {
      measure = candidate;
      return true;
    }
  }
  return false;
}

void Counters::Add(const Counters& other) {
  scheduled += other.scheduled;
  sent += other.sent;
  dropped += other.dropped;
  expired += other.expired;
  waiting += other.waiting;
  ok += other.ok;
  rejected += other.rejected;
  failed += other.failed;
  in_flight += other.in_flight;
  after_stop += other.after_stop;
  unsent_failures += other.unsent_failures;
  own_fault += other.own_fault;
  limited += other.limited;
  bytes_out += other.bytes_out;
  bytes_in += other.bytes_in;
  inferences += other.inferences;
}

bool Counters::Closes() const {
  return scheduled == sent + dropped + expired + waiting &&
         sent == ok + rejected + failed + in_flight;
}

}  // namespace broadside::stats
