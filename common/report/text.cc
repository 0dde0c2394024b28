#include "common/report/text.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/report/format.h"
#include "common/report/table.h"
#include "common/report/text_parts.h"
#include "common/time/clock.h"

namespace broadside::report {
namespace text {
namespace {

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

Colour VerdictColour(const std::string& verdict) {
  if (verdict == "VALID" || verdict == "pass") return Colour::kGood;
  if (verdict == "INVALID" || verdict == "fail" || verdict == "no data") return Colour::kBad;
  if (verdict == "none") return Colour::kDim;
  return Colour::kWarn;
}

/// "  SLO       PASS  …", the label only on the first line of its block.
class VerdictBlock {
 public:
  VerdictBlock(std::string label, bool colour) : label_(std::move(label)), colour_(colour) {}
  void Add(const std::string& verdict, const std::string& text, int verdict_width = 5) {
    out_ += "  " + PadRight(std::exchange(label_, ""), 9);
    if (!verdict.empty()) {
      out_ += " " + Paint(colour_, VerdictColour(verdict), PadRight(Upper(verdict), verdict_width));
    }
    out_ += (text.empty() ? "" : " " + text) + "\n";
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string label_, out_;
  bool colour_;
};

std::string ValidityEvidence(const Report& report) {
  std::string out = report.closed_loop ? "the generator kept up" : "every arrival was sent on time";
  std::vector<std::string> facts;
  if (report.total.lag.p99) facts.push_back("lag P99 " + FormatDuration(*report.total.lag.p99));
  facts.push_back(FormatCount(report.ledger.dropped) + " dropped");
  facts.push_back(absl::StrFormat("coverage %s/%s", FormatCount(report.coverage.complete),
                                  FormatCount(report.coverage.intervals)));
  return out + " (" + absl::StrJoin(facts, ", ") + ")";
}

std::string RuleText(const RuleResult& result) {
  std::string out = Printable(result.rule);
  if (!result.measured.empty()) out += ": " + Printable(result.measured);
  if (!result.reason.empty()) out += " (" + Printable(result.reason) + ")";
  return out;
}

std::string Rules(const std::string& label, const std::string& verdict,
                  const std::vector<RuleResult>& results, bool colour) {
  VerdictBlock block(label, colour);
  if (verdict == "none") return "";
  if (results.empty()) block.Add(verdict, "");
  int width = 5;
  for (const RuleResult& result : results) width = std::max(width, DisplayWidth(result.verdict));
  for (const RuleResult& result : results) block.Add(result.verdict, RuleText(result), width);
  return block.Take();
}

/// "66.1 %" of what was sent; "–" for none at all.
std::string Share(uint64_t count, uint64_t sent) {
  if (count == 0 || sent == 0) return "–";
  return FormatPercent(static_cast<double>(count) / static_cast<double>(sent));
}

std::string RankInterval(const Report& report, const Summary& latency) {
  if (!latency.p99_low) return "";
  return "[" + FormatDuration(*latency.p99_low) + ", " +
         (latency.p99_high ? FormatDuration(*latency.p99_high)
                           : Percentile(report, {}, latency.censored > 0)) +
         "]";
}

const std::vector<Table::Column>& SectionColumns() {
  using Align = Table::Align;
  static const std::vector<Table::Column> columns = {
      {"phase", Align::kLeft},      {"asked"}, {"sent"}, {"ok/s"},     {"P50"},   {"P99"},
      {"[95 % iid]", Align::kLeft}, {"max"},   {"ok"},   {"rejected"}, {"failed"}};
  return columns;
}

std::vector<Table::Cell> SectionRow(const Report& report, const Section& section,
                                    const std::string& name) {
  if (section.ledger.scheduled == 0 && section.ledger.sent == 0) {
    return {
        {name},
        {section.asked.empty() ? "nothing was due" : Printable(section.asked), std::nullopt, true}};
  }
  const Summary& latency = section.latency;
  const LedgerTotals& ledger = section.ledger;
  std::string asked = Printable(section.asked);
  if (asked.empty() && section.offered) asked = FormatRate(*section.offered);
  using Paints = std::optional<Colour>;
  return {
      {name},
      {asked},
      {FormatRateNumber(section.achieved)},
      {FormatRateNumber(section.ok_rate)},
      {Percentile(report, latency.p50, latency.p50_censored)},
      {Percentile(report, latency.p99, latency.p99_censored)},
      {RankInterval(report, latency)},
      {FormatDuration(latency.max)},
      {Share(ledger.ok, ledger.sent)},
      {Share(ledger.rejected, ledger.sent), ledger.rejected > 0 ? Paints(Colour::kWarn) : Paints()},
      {Share(ledger.failed, ledger.sent), ledger.failed > 0 ? Paints(Colour::kBad) : Paints()}};
}

Table SectionTable(const std::string& title, const TextOptions& options) {
  std::vector<Table::Column> columns = SectionColumns();
  columns[0].title = title;
  return Table(columns, options.unicode);
}

void AddSeconds(std::string& heading, const Report& report) {
  const int64_t length = report.ended_wall_ns - report.started_wall_ns;
  if (report.started_wall_ns == 0) return;
  heading += " · " + FormatUtc(report.started_wall_ns);
  if (length > 0) {
    heading += " – " + FormatUtc(report.ended_wall_ns).substr(11) + " UTC";
  } else {
    heading += " UTC";
  }
}

std::string MeasureNote(const Report& report) {
  std::vector<std::string> notes;
  const Section& total = report.total;
  if (total.inference_rate && total.ok_rate &&
      std::abs(*total.inference_rate - *total.ok_rate) > *total.ok_rate * 1e-6) {
    notes.push_back(absl::StrFormat("inferences  %s in %s ok requests: %s each",
                                    FormatRate(*total.inference_rate), FormatRate(*total.ok_rate),
                                    FormatNumber(*total.inference_rate / *total.ok_rate)));
  }
  if (total.latency.censored > 0) {
    notes.push_back(absl::StrFormat(
        "unanswered  %s of %s stand in latency's rank as slower than %s",
        FormatCount(total.latency.censored), FormatCount(total.latency.n + total.latency.censored),
        report.timeout_ns > 0 ? "the timeout " + FormatDurationShort(report.timeout_ns)
                              : std::string("any bound")));
  }
  return notes.empty() ? "" : absl::StrJoin(notes, "\n") + "\n";
}

}  // namespace

std::string Percentile(const Report& report, std::optional<int64_t> value, bool censored) {
  if (!censored) return FormatDuration(value);
  return report.timeout_ns > 0 ? "> " + FormatDuration(report.timeout_ns) : "> timeout";
}

std::string TotalName(const Report& report) {
  std::vector<std::string> names;
  for (const Section& phase : report.phases) {
    if (phase.measured) names.push_back(phase.name);
  }
  return names.size() == 1 ? Printable(names[0]) : "measured phases";
}

std::string Heading(const Report& report, const TextOptions& options) {
  std::string out = Paint(options.colour, Colour::kBold, Printable(report.name));
  out += " · run " + Printable(report.run_id);
  AddSeconds(out, report);
  out += absl::StrFormat(" · %d agent%s · seed %d", report.agents.size(),
                         report.agents.size() == 1 ? "" : "s", report.seed);
  if (report.closed_loop) {
    out +=
        "\nclosed loop: a slow server slows this load down, so its latency is no answer for users";
  }
  return out + "\n";
}

std::string Verdicts(const Report& report, const TextOptions& options) {
  std::string out;
  if (!report.state.empty() && report.state != "completed") {
    const std::string why =
        report.state_reason.empty() ? "" : ": " + Printable(report.state_reason);
    out += "  " + Paint(options.colour, Colour::kBad, Upper(report.state)) + why + "\n";
  }
  VerdictBlock validity(report.validity.verdict, false);
  if (report.validity.reasons.empty()) {
    validity.Add("", ValidityEvidence(report));
  } else {
    for (const std::string& reason : report.validity.reasons) validity.Add("", Printable(reason));
  }
  std::string block = validity.Take();
  // The label itself carries the colour here: it is the verdict.
  const std::string& verdict = report.validity.verdict;
  block.replace(2, verdict.size(), Paint(options.colour, VerdictColour(verdict), verdict));
  out += block;
  VerdictBlock notes("note", options.colour);
  for (const std::string& note : report.validity.notes) notes.Add("", Printable(note));
  out += notes.Take();
  out += Rules("SLO", report.slo, report.slo_results, options.colour);
  out += Rules("BREAKER", report.breaker, report.breaker_results, options.colour);
  VerdictBlock warnings("warning", options.colour);
  for (const std::string& warning : report.warnings) warnings.Add("", Printable(warning));
  return out + warnings.Take();
}

std::string Phases(const Report& report, const TextOptions& options) {
  Table table = SectionTable("phase", options);
  size_t measured = 0;
  for (const Section& phase : report.phases) {
    measured += phase.measured ? 1 : 0;
    table.Add(SectionRow(report, phase, Printable(phase.name) + (phase.measured ? "" : " *")));
    if (phase.targets.size() < 2) continue;
    for (const Section& target : phase.targets) {
      table.Add(SectionRow(report, target, "  " + Printable(target.name)));
    }
  }
  if (table.empty()) return "";
  if (measured > 1) {
    Section total = report.total;
    total.asked = total.offered ? FormatRate(*total.offered) : "–";
    table.Add(SectionRow(report, total, "measured"));
  }
  std::string out = table.Render(options.colour);
  if (measured < report.phases.size()) out += "* not measured: outside the total and the SLO\n";
  return out;
}

std::string Targets(const Report& report, const TextOptions& options) {
  if (report.targets.size() < 2) return "";
  Table table = SectionTable("target", options);
  for (const Section& target : report.targets) {
    table.Add(SectionRow(report, target, Printable(target.name)));
  }
  return table.Render(options.colour);
}

std::string Measures(const Report& report, const TextOptions& options) {
  using Align = Table::Align;
  Table table({{"time of ok replies", Align::kLeft},
               {"n"},
               {"min"},
               {"mean"},
               {"P50"},
               {"P90"},
               {"P95"},
               {"P99"},
               {"P99.9"},
               {"max"}},
              options.unicode);
  const Section& total = report.total;
  const std::pair<const char*, const Summary*> rows[] = {
      {"latency (from due)", &total.latency},
      {"service (from sent)", &total.service},
      {"first byte (from sent)", &total.first_byte},
      {"wait (for a connection)", &total.wait},
      {"lag (generator's own)", &total.lag}};
  for (const auto& [name, s] : rows) {
    if (s->n == 0) continue;
    table.Add({{name},
               {FormatCount(s->n)},
               {FormatDuration(s->min)},
               {FormatDuration(s->mean)},
               {Percentile(report, s->p50, s->p50_censored)},
               {Percentile(report, s->p90, s->p90_censored)},
               {Percentile(report, s->p95, s->p95_censored)},
               {Percentile(report, s->p99, s->p99_censored)},
               {Percentile(report, s->p999, s->p999_censored)},
               {FormatDuration(s->max)}});
  }
  std::string out = table.empty() ? "" : table.Render(options.colour);
  return out + MeasureNote(report);
}

}  // namespace text

std::string RenderText(const Report& report, const TextOptions& options) {
  std::string out;
  for (const auto part :
       {text::Heading, text::Verdicts, text::Phases, text::Targets, text::Measures, text::Bars,
        text::Outcomes, text::Agents, text::Laws, text::Provenance}) {
    const std::string block = part(report, options);
    if (block.empty()) continue;
    if (!out.empty()) out += "\n";
    out += block;
  }
  return options.unicode ? out : ToAscii(out);
}

}  // namespace broadside::report
