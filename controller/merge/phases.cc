#include "controller/merge/phases.h"

#include <algorithm>

#include "common/report/format.h"

namespace broadside::merge {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

std::string RateText(plan::MicroRate rate) {
  return report::FormatRate(static_cast<double>(rate) / rate::kMicroPerUnit);
}

std::string RateText(const plan::RateValue& value) {
  if (const auto* rate = std::get_if<plan::MicroRate>(&value)) return RateText(*rate);
  const auto& of = std::get<plan::RateOfSearch>(value);
  std::string text =
      report::FormatPercent(static_cast<double>(of.ratio) / 1e6) + " of " + of.search;
  if (!of.target.empty()) text += "." + of.target;
  if (!of.which.empty() && of.which != "held") text += "." + of.which;
  return text;
}

double SegmentRate(const rate::Segment& segment, RunTime end) {
  const double limit =
      static_cast<double>(std::clamp(end - segment.start, Nanos(0), segment.length).count());
  double requests = 0;
  for (size_t i = 1; i < segment.knots.size(); ++i) {
    const auto from = static_cast<double>(segment.knots[i - 1].at.count());
    const auto to = static_cast<double>(segment.knots[i].at.count());
    if (to <= from || from >= limit) continue;
    const auto rate_from = static_cast<double>(segment.knots[i - 1].rate);
    const auto rate_to = static_cast<double>(segment.knots[i].rate);
    const double cut = std::min(to, limit);
    const double rate_cut = rate_from + (rate_to - rate_from) * (cut - from) / (to - from);
    requests += (rate_from + rate_cut) / 2 / rate::kMicroPerUnit * (cut - from) / 1e9;
  }
  return requests;
}

}  // namespace

bool IsClosedLoop(const plan::Phase& phase) {
  return std::holds_alternative<plan::ConcurrencyLoad>(phase.load);
}

std::string AskedText(const plan::Phase& phase, std::optional<uint32_t> step) {
  return std::visit(
      Overloaded{
          [](const plan::ConstantLoad& load) { return RateText(load.rate); },
          [](const plan::RatesLoad& load) {
            std::string text;
            for (const auto& [target, rate] : load.rates) {
              text += (text.empty() ? "" : ", ") + target + " " + RateText(rate);
            }
            return text;
          },
          [](const plan::RampLoad& load) {
            return RateText(load.from) + " → " + RateText(load.to);
          },
          [step](const plan::StepsLoad& load) {
            if (step) return RateText(plan::StepRate(load, *step));
            return RateText(load.from) + " … " + RateText(load.to) + " by " + RateText(load.by);
          },
          [](const plan::SineLoad& load) {
            return RateText(load.mean) + " ± " + RateText(load.amplitude);
          },
          [](const plan::ReplayLoad& load) { return "replay of " + load.file; },
          [](const plan::ConcurrencyLoad& load) { return std::to_string(load.slots) + " at once"; },
          [](const plan::SearchLoad& load) {
            return "search " + RateText(load.from) + " … " + RateText(load.to);
          },
          [](const plan::IdleLoad&) { return std::string("idle"); }},
      phase.load);
}

RunTime ScheduleEnd(const Segments& segments, std::optional<RunTime> stopped_at) {
  RunTime end = RunStart();
  for (const auto& segment : segments) end = std::max(end, segment->end());
  return stopped_at ? std::min(end, std::max(*stopped_at, RunStart())) : end;
}

std::vector<PhaseSpan> PhaseSpans(size_t rows, const Segments& segments, RunTime end) {
  std::vector<PhaseSpan> spans(rows);
  std::vector<bool> seen(rows);
  for (const auto& compiled : segments) {
    const size_t phase = compiled->segment().phase.value();
    if (phase >= spans.size()) continue;
    PhaseSpan& span = spans[phase];
    span.start =
        seen[phase] ? std::min(span.start, compiled->segment().start) : compiled->segment().start;
    span.end = seen[phase] ? std::max(span.end, compiled->end()) : compiled->end();
    seen[phase] = true;
  }
  for (PhaseSpan& span : spans) {
    span.start = std::min(span.start, end);
    span.end = std::min(span.end, end);
  }
  return spans;
}

std::map<Row, uint64_t> CountScheduled(const Segments& segments, RunTime end) {
  std::map<Row, uint64_t> scheduled;
  for (const auto& compiled : segments) {
    const rate::Segment& segment = compiled->segment();
    const uint64_t count = compiled->CountBefore(end);
    if (segment.mix.size() == 1) {
      scheduled[{segment.phase, segment.mix.front().target}] += count;
      continue;
    }
    for (uint64_t i = 0; i < count; ++i) ++scheduled[{segment.phase, compiled->TargetOf(i)}];
  }
  return scheduled;
}

uint64_t CountDue(const Segments& segments, RunTime from, RunTime to) {
  uint64_t count = 0;
  for (const auto& segment : segments) {
    if (segment->segment().start >= to || segment->end() <= from) continue;
    count += segment->CountBefore(to) - segment->CountBefore(from);
  }
  return count;
}

std::optional<double> AskedMean(const Segments& segments, PhaseIndex phase, RunTime end) {
  double requests = 0;
  double seconds = 0;
  for (const auto& compiled : segments) {
    const rate::Segment& segment = compiled->segment();
    if (segment.phase != phase || segment.start >= end) continue;
    if (segment.kind == rate::ArrivalKind::kList) return std::nullopt;
    requests += SegmentRate(segment, end);
    seconds += static_cast<double>((std::min(compiled->end(), end) - segment.start).count()) / 1e9;
  }
  if (seconds <= 0) return std::nullopt;
  return requests / seconds;
}

}  // namespace broadside::merge
