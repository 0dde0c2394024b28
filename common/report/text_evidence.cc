#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/report/format.h"
#include "common/report/table.h"
#include "common/report/text_parts.h"

/// What stands under the answer: distribution, outcomes, agents, the laws, where it comes from.
namespace broadside::report::text {
namespace {

constexpr int kMaxRows = 12;

/// Lower edges of the rows to draw [low, high] in: logarithmic where the range is wide, else
/// linear, so that a narrow distribution still has a shape.
std::vector<double> Edges(double low, double high) {
  std::vector<double> edges;
  if (high < 4 * low) {
    // Steps of 1, 2 or 5 times a power of ten read well.
    double step = std::pow(10, std::floor(std::log10(std::max(high - low, 1.0))) - 1);
    for (int i = 0; (high - low) / step > kMaxRows - 2; ++i) step *= i % 3 == 1 ? 2.5 : 2;
    for (double edge = std::floor(low / step) * step; edge <= high; edge += step) {
      edges.push_back(edge);
    }
    return edges;
  }
  const double decades = std::log10(high) - std::log10(low);
  double step = 0.1;
  for (const double wider : {0.2, 0.4, 1.0}) {
    if (decades / step > kMaxRows - 2) step = wider;
  }
  for (double k = std::floor(std::log10(low) / step); k * step <= std::log10(high); ++k) {
    // Two digits, as people say them: 1.6, 2.5, 4, 6.3, 10.
    const double digit = std::pow(10, std::floor(k * step + 1e-9) - 1);
    edges.push_back(std::round(std::pow(10, k * step) / digit) * digit);
  }
  return edges;
}

/// A bar of `share` of `width` columns, to an eighth of one; something is never nothing.
std::string DrawBar(double share, int width) {
  static constexpr std::array<const char*, 9> kEighths = {"",  "▏", "▎", "▍", "▌",
                                                          "▋", "▊", "▉", "█"};
  int eighths = static_cast<int>(std::lround(share * width * 8));
  if (share > 0 && eighths == 0) eighths = 1;
  std::string bar;
  for (; eighths >= 8; eighths -= 8) bar += kEighths[8];
  return bar + kEighths[static_cast<size_t>(eighths)];
}

/// "603,114 scheduled = 603,114 sent + 0 dropped + …", and whether it adds up.
struct Equation {
  uint64_t whole;
  const char* name;
  std::vector<std::pair<uint64_t, const char*>> parts;
};
std::string Render(const Equation& equation) {
  std::vector<std::string> parts;
  for (const auto& [count, name] : equation.parts) {
    parts.push_back(FormatCount(count) + " " + name);
  }
  return FormatCount(equation.whole) + " " + equation.name + " = " + absl::StrJoin(parts, " + ");
}

std::string Closes(const Equation& equation, bool colour) {
  int64_t rest = static_cast<int64_t>(equation.whole);
  for (const auto& [count, name] : equation.parts) rest -= static_cast<int64_t>(count);
  return rest == 0 ? Paint(colour, Colour::kGood, "closes")
                   : Paint(colour, Colour::kBad, "DOES NOT CLOSE by " + FormatSignedCount(rest));
}

std::string Ledger(const std::string& label, const LedgerTotals& l, const TextOptions& options) {
  const Equation scheduled = {l.scheduled,
                              "scheduled",
                              {{l.sent, "sent"},
                               {l.dropped, "dropped"},
                               {l.expired, "expired"},
                               {l.unowned, "unowned"},
                               {l.unreported, "unreported"}}};
  const Equation sent = {
      l.sent,
      "sent",
      {{l.ok, "ok"}, {l.rejected, "rejected"}, {l.failed, "failed"}, {l.in_flight, "in flight"}}};
  const int width =
      std::max({options.width - 20, DisplayWidth(Render(scheduled)), DisplayWidth(Render(sent))});
  std::string out;
  for (const Equation* equation : {&scheduled, &sent}) {
    out += PadRight(out.empty() ? label : "", 10) + PadRight(Render(*equation), width) + "  " +
           Closes(*equation, options.colour) + "\n";
  }
  return out;
}

bool Agrees(double measured, double expected) {
  // Below one request in flight on average the difference is a matter of rounding, not of law.
  return std::fabs(measured - expected) <= std::max(0.05 * expected, 0.5);
}

std::string Little(const Report& report, const TextOptions& options) {
  std::string out;
  const auto add = [&](const Section& section, const std::string& name, bool always) {
    if (!section.in_flight_mean || !section.little) return;
    const bool agrees = Agrees(*section.in_flight_mean, *section.little);
    if (agrees && !always) return;
    const std::string line =
        absl::StrFormat("%s in flight measured, %s by rate × time in %s",
                        FormatNumber(*section.in_flight_mean), FormatNumber(*section.little), name);
    const std::string verdict =
        agrees ? Paint(options.colour, Colour::kGood, "agrees")
               : Paint(options.colour, Colour::kWarn,
                       absl::StrFormat(
                           "differs by %s",
                           FormatPercent(std::fabs(
                               *section.in_flight_mean / std::max(*section.little, 1e-9) - 1))));
    out += PadRight(out.empty() ? "Little" : "", 10) + PadRight(line, options.width - 20) + "  " +
           verdict + "\n";
  };
  add(report.total, TotalName(report), true);
  for (const Section& phase : report.phases) {
    // One measured phase is the total, already said.
    if (!(phase.measured && TotalName(report) == phase.name && report.total.in_flight_mean)) {
      add(phase, Printable(phase.name), !report.total.in_flight_mean && phase.measured);
    }
  }
  return out;
}

std::string CoverageLines(const Report& report, const TextOptions& options) {
  const Coverage& coverage = report.coverage;
  std::string out = PadRight("coverage", 10) + absl::StrFormat("%s of %s intervals complete\n",
                                                               FormatCount(coverage.complete),
                                                               FormatCount(coverage.intervals));
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < coverage.missing.size() && i < kShown; ++i) {
    const Missing& gap = coverage.missing[i];
    const std::string span = gap.from_k == gap.to_k
                                 ? absl::StrFormat("interval %d", gap.from_k)
                                 : absl::StrFormat("intervals %d … %d", gap.from_k, gap.to_k);
    const std::string why = gap.why.empty() ? "" : " (" + Printable(gap.why) + ")";
    out += PadRight("", 10) +
           Paint(options.colour, Colour::kWarn,
                 "missing: " + Printable(gap.agent) + ", " + span + why) +
           "\n";
  }
  if (coverage.missing.size() > kShown) {
    out +=
        PadRight("", 10) + absl::StrFormat("and %d gaps more\n", coverage.missing.size() - kShown);
  }
  return out;
}

}  // namespace

std::string Bars(const Report& report, const TextOptions& options) {
  std::vector<Bar> bars;
  for (const Bar& bar : report.total.bars) {
    if (bar.count > 0) bars.push_back(bar);
  }
  if (bars.empty()) return "";
  std::sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) { return a.low < b.low; });
  const auto middle = [](const Bar& bar) {
    return std::max(1.0, (static_cast<double>(bar.low) + static_cast<double>(bar.high)) / 2);
  };
  const std::vector<double> edges = Edges(middle(bars.front()), middle(bars.back()));
  std::vector<uint64_t> counts(edges.size(), 0);
  uint64_t all = 0;
  for (const Bar& bar : bars) {
    const auto above = std::upper_bound(edges.begin(), edges.end(), middle(bar) * (1 + 1e-12));
    counts[above == edges.begin() ? 0 : static_cast<size_t>(above - edges.begin() - 1)] +=
        bar.count;
    all += bar.count;
  }
  const uint64_t most = *std::max_element(counts.begin(), counts.end());
  std::string out = "latency of ok replies in " + TotalName(report) + ", from the due time\n";
  const int width = std::max(10, options.width - 12 - 24);
  for (size_t i = 0; i < edges.size(); ++i) {
    const double share = static_cast<double>(counts[i]) / static_cast<double>(all);
    const std::string bar =
        DrawBar(static_cast<double>(counts[i]) / static_cast<double>(most), width);
    std::string line = PadLeft(FormatDurationShort(static_cast<int64_t>(edges[i])), 10) + "  ";
    if (counts[i] > 0) {
      line += bar + " " + FormatCount(counts[i]) + " (" + FormatPercent(share) + ")";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string Outcomes(const Report& report, const TextOptions& options) {
  using Align = Table::Align;
  Table table({{"outcome", Align::kLeft}, {"count"}, {"share"}, {"P50"}, {"P99"}}, options.unicode);
  std::vector<std::pair<std::string, uint64_t>> classes(report.total.outcomes.begin(),
                                                        report.total.outcomes.end());
  std::stable_sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) {
    if ((a.first == "ok") != (b.first == "ok")) return a.first == "ok";
    return a.second > b.second;
  });
  uint64_t ended = 0;
  for (const auto& [name, count] : classes) ended += count;
  for (const auto& [name, count] : classes) {
    if (count == 0) continue;
    const auto found = report.total.by_outcome.find(name);
    const Summary none;
    // Each class has percentiles of its own; "ok" here is of the ok replies alone.
    const Summary& s = found == report.total.by_outcome.end() ? none : found->second;
    table.Add({{Printable(name), name == "ok" ? std::optional<Colour>() : Colour::kWarn},
               {FormatCount(count)},
               {FormatPercent(static_cast<double>(count) / static_cast<double>(ended))},
               {Percentile(report, s.p50, s.p50_censored)},
               {Percentile(report, s.p99, s.p99_censored)}});
  }
  std::string out = table.empty() ? "" : table.Render(options.colour);
  if (report.total.bytes_out + report.total.bytes_in > 0) {
    out += "bytes     " + FormatBytes(report.total.bytes_out) + " sent, " +
           FormatBytes(report.total.bytes_in) + " received\n";
  }
  return out;
}

std::string Agents(const Report& report, const TextOptions& options) {
  using Align = Table::Align;
  Table table({{"agent", Align::kLeft},
               {"sent"},
               {"P50"},
               {"P99"},
               {"share of slowest 1 %"},
               {"lag P99"},
               {"busiest loop"},
               {"clock"},
               {"", Align::kLeft}},
              options.unicode);
  for (const AgentRow& agent : report.agents) {
    const bool fine = agent.state.empty() || agent.state == "done";
    std::string state = fine ? "" : Printable(agent.state);
    if (agent.throttled_ns > 0) {
      state += (state.empty() ? "" : ", ") +
               ("throttled for " + FormatDuration(static_cast<int64_t>(agent.throttled_ns)));
    }
    table.Add({{Printable(agent.id)},
               {FormatCount(agent.sent)},
               {FormatDuration(agent.p50)},
               {FormatDuration(agent.p99)},
               {agent.slow_share ? FormatPercent(*agent.slow_share) : "–"},
               {FormatDuration(agent.lag_p99)},
               {agent.busiest_loop ? FormatPercent(*agent.busiest_loop) : "–"},
               {agent.clock_bound_ns ? "±" + FormatDuration(*agent.clock_bound_ns) : "–"},
               {state, Colour::kWarn}});
  }
  return table.empty() ? "" : table.Render(options.colour);
}

std::string Laws(const Report& report, const TextOptions& options) {
  std::string out = Ledger("ledger", report.ledger, options);
  if (report.ledger.unsent_failures > 0) {
    out += PadRight("", 10) + FormatCount(report.ledger.unsent_failures) +
           " of the failed ended before a byte left\n";
  }
  if (report.ledger.after_stop > 0) {
    out += PadRight("", 10) + FormatCount(report.ledger.after_stop) +
           " of the sent were due after the decision to stop\n";
  }
  // A sum that closes can hide two phases that do not.
  for (const Section& phase : report.phases) {
    if (phase.ledger.mismatch != 0) out += Ledger(Printable(phase.name), phase.ledger, options);
  }
  return out + Little(report, options) + CoverageLines(report, options);
}

std::string Provenance(const Report& report, const TextOptions&) {
  std::string out;
  if (!report.plan_sha256.empty())
    out += "plan      sha256 " + Printable(report.plan_sha256) + "\n";
  out += absl::StrFormat("seed      %d\n", report.seed);
  std::vector<std::string> versions, tags;
  // "agent NAME" for each of them in the JSON; people want to know whether they differ.
  constexpr std::string_view kAgent = "agent ";
  std::map<std::string, size_t> agents;
  for (const auto& [name, version] : report.versions) {
    if (name.rfind(kAgent, 0) == 0) {
      ++agents[version];
    } else {
      versions.push_back(Printable(name) + " " + Printable(version));
    }
  }
  for (const auto& [version, count] : agents) {
    versions.push_back(
        absl::StrFormat("%d agent%s %s", count, count == 1 ? "" : "s", Printable(version)));
  }
  for (const auto& [name, value] : report.tags) {
    tags.push_back(Printable(name) + "=" + Printable(value));
  }
  if (!versions.empty()) out += "versions  " + absl::StrJoin(versions, ", ") + "\n";
  if (!tags.empty()) out += "tags      " + absl::StrJoin(tags, ", ") + "\n";
  return out;
}

}  // namespace broadside::report::text
