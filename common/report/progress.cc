#include "common/report/progress.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/report/format.h"

namespace broadside::report {
namespace {

std::string Fit(std::string line, const ProgressOptions& options) {
  if (!options.unicode) line = ToAscii(line);
  return DisplayWidth(line) > options.width ? Truncate(line, options.width) : line;
}

bool Fires(const std::string& state) { return state == "running" || state == "draining"; }

/// The last rates as blocks of eight heights, the greatest one full.
std::string Sparkline(const std::vector<double>& rates) {
  static constexpr std::array<const char*, 8> kHeights = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr size_t kShown = 24;
  const size_t first = rates.size() > kShown ? rates.size() - kShown : 0;
  double most = 0;
  for (const double rate : rates) most = std::max(most, rate);
  std::string out;
  for (size_t i = first; i < rates.size(); ++i) {
    const double share = most > 0 && rates[i] > 0 ? rates[i] / most : 0;
    out += kHeights[static_cast<size_t>(std::lround(share * 7))];
  }
  return out;
}

std::string Phases(const Progress& progress, bool colour) {
  // Neighbours of the current phase are enough where a plan has many.
  constexpr size_t kShown = 6;
  const size_t count = progress.phases.size();
  const size_t current = std::min<size_t>(progress.phase, count == 0 ? 0 : count - 1);
  size_t first = current > 2 ? current - 2 : 0;
  if (first + kShown > count) first = count > kShown ? count - kShown : 0;
  const size_t last = std::min(count, first + kShown);
  std::vector<std::string> names;
  for (size_t i = first; i < last; ++i) {
    std::string name = Printable(progress.phases[i]);
    if (i == current && Fires(progress.state)) {
      // Capitals say it too where there is no colour.
      for (char& c : name) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
      }
      name = Paint(colour, Colour::kBold, name);
    }
    names.push_back(std::move(name));
  }
  return (first > 0 ? "… ▸ " : "") + absl::StrJoin(names, " ▸ ") + (last < count ? " ▸ …" : "");
}

std::string Outcomes(const Progress& progress, bool colour) {
  std::vector<std::pair<std::string, uint64_t>> classes(progress.outcomes.begin(),
                                                        progress.outcomes.end());
  std::erase_if(classes, [](const auto& item) { return item.second == 0; });
  std::stable_sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) {
    if ((a.first == "ok") != (b.first == "ok")) return a.first == "ok";
    return a.second > b.second;
  });
  uint64_t all = 0;
  for (const auto& [name, count] : classes) all += count;
  std::vector<std::string> parts;
  for (const auto& [name, count] : classes) {
    const std::string text = Printable(name) + " " +
                             FormatPercent(static_cast<double>(count) / static_cast<double>(all));
    parts.push_back(name == "ok" ? text : Paint(colour, Colour::kWarn, text));
  }
  return parts.empty() ? "none yet" : absl::StrJoin(parts, "  ");
}

std::string Place(const Progress& progress) {
  if (progress.elapsed_ns < 0) return "start in " + FormatDuration(-progress.elapsed_ns);
  std::string out = FormatClock(progress.elapsed_ns);
  if (progress.total_ns > 0) out += " of about " + FormatClock(progress.total_ns);
  return out;
}

}  // namespace

bool IsEnded(const std::string& state) {
  return state == "completed" || state == "aborted" || state == "cancelled" || state == "failed";
}

std::string RenderHead(const Progress& progress, const ProgressOptions& options) {
  std::vector<std::string> names;
  constexpr size_t kShown = 6;
  for (size_t i = 0; i < progress.agents.size() && i < kShown; ++i) {
    names.push_back(Printable(progress.agents[i]));
  }
  if (progress.agents.size() > kShown) names.push_back("…");
  std::string out = "run " + Printable(progress.run_id) + " · " +
                    Paint(options.colour, Colour::kBold, Printable(progress.name));
  if (!names.empty()) {
    out += absl::StrFormat(" · %d agent%s (%s)", progress.agents.size(),
                           progress.agents.size() == 1 ? "" : "s", absl::StrJoin(names, ", "));
  }
  return Fit(out + absl::StrFormat(" · seed %d", progress.seed), options);
}

std::vector<std::string> RenderLive(const Progress& progress, const ProgressOptions& options) {
  const auto line = [&](const char* label, const std::string& text) {
    return Fit("  " + PadRight(label, 10) + text, options);
  };
  std::vector<std::string> out;
  if (!Fires(progress.state)) {
    std::string text = Printable(progress.state);
    if (progress.elapsed_ns < 0) text += " · " + Place(progress);
    if (!progress.message.empty()) text += " · " + Printable(progress.message);
    out.push_back(line("state", text));
    return out;
  }
  out.push_back(line("phase", PadRight(Phases(progress, options.colour), 50) + "  " +
                                  Place(progress) +
                                  (progress.state == "draining" ? "  draining" : "")));
  out.push_back(line("rate", FormatRate(progress.offered) + " asked   " +
                                 FormatRate(progress.sent_rate) + " sent   " +
                                 Sparkline(progress.recent_rates) + "   in flight " +
                                 FormatCount(progress.in_flight)));
  out.push_back(line("latency", "P50 " + FormatDuration(progress.p50_ns) + "  P99 " +
                                    FormatDuration(progress.p99_ns) + "   (ok, last 5 s, n " +
                                    FormatCount(progress.n) + ")   lag P99 " +
                                    FormatDuration(progress.lag_p99_ns) + "   wait P99 " +
                                    FormatDuration(progress.wait_p99_ns)));
  out.push_back(line("outcomes", Outcomes(progress, options.colour)));
  std::string agents = absl::StrFormat("%d live", progress.agents_live);
  if (progress.agents_live < progress.agents.size()) {
    agents = Paint(options.colour, Colour::kWarn,
                   absl::StrFormat("%d of %d live", progress.agents_live, progress.agents.size()));
  }
  if (progress.clock_bound_ns) agents += " · clock ±" + FormatDuration(*progress.clock_bound_ns);
  if (!progress.message.empty()) agents += " · " + Printable(progress.message);
  out.push_back(line("agents", agents));
  return out;
}

std::string RenderPlainLine(const Progress& progress, const ProgressOptions& options) {
  std::string out;
  if (!Fires(progress.state)) {
    out = Printable(progress.state);
    if (progress.elapsed_ns < 0) out += " · " + Place(progress);
    if (!progress.message.empty()) out += " · " + Printable(progress.message);
  } else {
    const std::string phase =
        progress.phase < progress.phases.size() ? Printable(progress.phases[progress.phase]) : "?";
    out = FormatClock(progress.elapsed_ns);
    if (progress.total_ns > 0) out += "/" + FormatClock(progress.total_ns);
    out += " " + phase + (progress.state == "draining" ? " (draining)" : "");
    out += " · asked " + FormatRate(progress.offered) + " · sent " +
           FormatRate(progress.sent_rate) + " · P50 " + FormatDuration(progress.p50_ns) + " P99 " +
           FormatDuration(progress.p99_ns) + " (n " + FormatCount(progress.n) + ") · lag P99 " +
           FormatDuration(progress.lag_p99_ns) + " · " + Outcomes(progress, false) +
           " · in flight " + FormatCount(progress.in_flight) +
           absl::StrFormat(" · %d agent%s", progress.agents_live,
                           progress.agents_live == 1 ? "" : "s");
    if (!progress.message.empty()) out += " · " + Printable(progress.message);
  }
  return options.unicode ? out : ToAscii(out);
}

}  // namespace broadside::report
