#include "ctl/dry_run.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "common/base/digest.h"
#include "common/plan/parse.h"
#include "common/plan/resolve.h"
#include "common/rate/schedule.h"
#include "common/report/format.h"
#include "common/report/table.h"

namespace broadside::ctl {
namespace {

using report::FormatRate;

struct Share {
  std::string name;
  uint64_t weight = 1;
};

/// The rule by which the controller deals: by rate ceiling, and an agent without one as much as its
/// loops could send.
std::vector<Share> SharesOf(const std::vector<AgentInfo>& agents, uint32_t count) {
  std::vector<Share> shares;
  for (const AgentInfo& agent : agents) {
    if (agent.state == "refused" || agent.state == "draining") continue;
    const auto weight = static_cast<uint64_t>(agent.rate_ceiling);
    shares.push_back({agent.id, weight > 0 ? weight : 10'000 * std::max(1U, agent.loops)});
  }
  if (shares.empty()) {
    for (uint32_t i = 1; i <= count; ++i) shares.push_back({absl::StrFormat("agent %d", i), 1});
  }
  return shares;
}

double PerSecond(rate::MicroRate rate) {
  return static_cast<double>(rate) / static_cast<double>(rate::kMicroPerUnit);
}

/// "1,000/s", "50/s → 1,000/s", "200/s … 800/s", each times `share`.
std::string RateText(const rate::Segment& segment, double share) {
  if (segment.kind == rate::ArrivalKind::kList) return "replay";
  if (segment.knots.empty() || segment.mix.empty()) return "idle";
  const auto [low, high] =
      std::minmax_element(segment.knots.begin(), segment.knots.end(),
                          [](const rate::Knot& a, const rate::Knot& b) { return a.rate < b.rate; });
  if (low->rate == high->rate) return FormatRate(PerSecond(low->rate) * share);
  const bool plain = segment.knots.size() == 2;
  const rate::MicroRate from = plain ? segment.knots.front().rate : low->rate;
  const rate::MicroRate to = plain ? segment.knots.back().rate : high->rate;
  return FormatRate(PerSecond(from) * share) + (plain ? " → " : " … ") +
         FormatRate(PerSecond(to) * share);
}

StatusOr<uint64_t> Arrivals(const LoadedPlan& loaded, const rate::Segment& segment) {
  const auto file = [&loaded](const std::string& sha256) -> StatusOr<std::string> {
    const auto content = loaded.files.find(sha256);
    if (content == loaded.files.end()) return NotFound("the replay's file was not read");
    return content->second;
  };
  BROADSIDE_ASSIGN_OR_RETURN(const auto compiled,
                             plan::CompileSegment(segment, file, "the replay's file"));
  return compiled->Count();
}

}  // namespace

StatusOr<std::string> DryRun(const Env& env, const LoadedPlan& loaded,
                             const std::vector<AgentInfo>& agents, uint32_t count, bool json) {
  const uint64_t seed = loaded.plan.seed.value_or(1);
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<rate::Segment> segments,
                             plan::ResolveSchedule(loaded.plan, seed));
  const std::vector<plan::PhaseRow> rows = plan::PhaseRows(loaded.plan);
  const std::vector<Share> shares = SharesOf(agents, count);
  const uint64_t all = std::accumulate(shares.begin(), shares.end(), uint64_t{0},
                                       [](uint64_t sum, const Share& s) { return sum + s.weight; });
  const bool equal = std::all_of(shares.begin(), shares.end(),
                                 [&](const Share& s) { return s.weight == shares.front().weight; });
  const auto part = [all](const Share& s) {
    return static_cast<double>(s.weight) / static_cast<double>(all);
  };
  using Align = report::Table::Align;
  std::vector<report::Table::Column> columns = {
      {"phase", Align::kLeft}, {"from"}, {"length"}, {"asked"}, {"arrivals"}};
  // Equal agents need one column; of others, as many as a terminal holds.
  constexpr size_t kColumns = 8;
  const size_t shown = equal ? 1 : std::min(shares.size(), kColumns);
  for (size_t i = 0; i < shown; ++i) {
    columns.push_back({!equal               ? report::Printable(shares[i].name)
                       : shares.size() == 1 ? std::string("the one agent")
                                            : absl::StrFormat("each of %d agents", shares.size())});
  }
  report::Table table(columns, env.unicode);
  nlohmann::json phases = nlohmann::json::array();
  for (size_t i = 0; i < segments.size(); ++i) {
    const rate::Segment& segment = segments[i];
    BROADSIDE_ASSIGN_OR_RETURN(const uint64_t arrivals, Arrivals(loaded, segment));
    const std::string& name = rows[segment.phase.value()].name;
    const int64_t start = segment.start.time_since_epoch().count();
    std::vector<report::Table::Cell> row = {{report::Printable(name)},
                                            {report::FormatClock(start)},
                                            {report::FormatDurationShort(segment.length.count())},
                                            {RateText(segment, 1)},
                                            {report::FormatCount(arrivals)}};
    for (size_t s = 0; s < shown; ++s) row.push_back({RateText(segment, part(shares[s]))});
    table.Add(std::move(row));
    phases.push_back({{"name", name},
                      {"start_ns", start},
                      {"length_ns", segment.length.count()},
                      {"asked", RateText(segment, 1)},
                      {"arrivals", arrivals}});
  }
  if (json) {
    nlohmann::json out = {{"plan", nlohmann::json::parse(loaded.canonical_json)},
                          {"plan_sha256", Sha256Hex(loaded.canonical_json)},
                          {"phases", phases},
                          {"agents", nlohmann::json::array()}};
    for (const Share& s : shares) out["agents"].push_back({{"id", s.name}, {"share", part(s)}});
    return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  std::string yaml = plan::ResolvedYaml(loaded.plan);
  if (!yaml.empty() && yaml.back() != '\n') yaml += "\n";
  return yaml + "\n" + table.Render(TextOptionsOf(env).colour) + "\nplan sha256 " +
         Sha256Hex(loaded.canonical_json) + "; nothing was sent\n";
}

}  // namespace broadside::ctl
