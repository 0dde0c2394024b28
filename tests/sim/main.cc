// sim_test: plays seeds of the deterministic simulation, those first that ever failed.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

#include "common/base/mutants.h"
#include "tests/sim/simulation.h"

namespace {

using broadside::sim::Outcome;

struct Totals {
  uint64_t seeds = 0, failed = 0, events = 0, arrivals = 0, sent = 0;
  broadside::sim::Coverage coverage{};
};

bool PlayOne(uint64_t seed, bool verbose, bool crashes, Totals& totals) {
  const Outcome outcome = broadside::sim::Play(seed, verbose, crashes);
  ++totals.seeds;
  totals.events += outcome.events;
  totals.arrivals += outcome.arrivals;
  totals.sent += outcome.sent;
  for (size_t i = 0; i < outcome.coverage.size(); ++i) totals.coverage[i] += outcome.coverage[i];
  if (outcome.broken.empty()) return true;
  ++totals.failed;
  std::printf("seed %llu: %s\n  again: sim_test --seed %llu --verbose%s\n",
              static_cast<unsigned long long>(seed), outcome.broken.c_str(),
              static_cast<unsigned long long>(seed), crashes ? " --crashes" : "");
  return false;
}

std::vector<uint64_t> KeptSeeds(const std::string& path) {
  std::vector<uint64_t> seeds;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line[0] != '#') seeds.push_back(std::stoull(line));
  return seeds;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

void Print(const Totals& totals) {
  std::printf("%llu seeds, %llu failed; %llu events, %llu arrivals, %llu sent; %.1f CPU seconds\n",
              static_cast<unsigned long long>(totals.seeds),
              static_cast<unsigned long long>(totals.failed),
              static_cast<unsigned long long>(totals.events),
              static_cast<unsigned long long>(totals.arrivals),
              static_cast<unsigned long long>(totals.sent), CpuSeconds());
  std::printf("faults:");
  for (size_t i = 0; i < totals.coverage.size(); ++i)
    std::printf(" %s %llu%s", std::string(broadside::sim::kFaultNames[i]).c_str(),
                static_cast<unsigned long long>(totals.coverage[i]),
                i + 1 < totals.coverage.size() ? "," : "\n");
}

#ifdef BROADSIDE_MUTANTS
constexpr uint64_t kSeedsForAMutant = 500;

/// Plays seeds against each broken variant until one catches it.
bool CatchAll() {
  bool all = true;
  for (size_t i = 1; i < broadside::kMutantNames.size(); ++i) {
    broadside::g_mutant = static_cast<broadside::Mutant>(i);
    std::string law;
    uint64_t seed = 1;
    for (; seed <= kSeedsForAMutant && law.empty(); ++seed)
      law = broadside::sim::Play(seed, false).broken;
    all &= !law.empty();
    std::printf("%2zu %-22s %s\n", i, std::string(broadside::kMutantNames[i]).c_str(),
                law.empty() ? "NOT CAUGHT"
                            : ("caught by seed " + std::to_string(seed - 1) + ": " + law).c_str());
    std::fflush(stdout);
  }
  return all;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Plays seeds of the deterministic simulation");
  std::optional<uint64_t> seed;
  uint64_t from = 1, count = 100;
  double seconds = 0;
  bool verbose = false, keep_going = false, crashes = false;
  int mutant = 0;
  std::string kept = BROADSIDE_SIM_SEEDS;
  app.add_option("--seed", seed, "play this one only");
  app.add_option("--from", from, "the first seed");
  app.add_option("--count", count, "how many");
  app.add_option("--seconds", seconds, "go on for so long instead of a count");
  app.add_option("--kept", kept, "file of seeds to play first");
  app.add_flag("--verbose", verbose, "say what happens");
  app.add_flag("--crashes", crashes, "kill and restart the controller too");
  app.add_flag("--keep-going", keep_going, "play on after a failure");
#ifdef BROADSIDE_MUTANTS
  bool mutants = false;
  app.add_option("--mutant", mutant, "switch this broken variant on");
  app.add_flag("--mutants", mutants, "see that every broken variant is caught");
#endif
  CLI11_PARSE(app, argc, argv);
#ifdef BROADSIDE_MUTANTS
  if (mutants) return CatchAll() ? 0 : 1;
  broadside::g_mutant = static_cast<broadside::Mutant>(mutant);
#else
  (void)mutant;
#endif
  Totals totals;
  if (seed) {
    const bool good = PlayOne(*seed, verbose, crashes, totals);
    Print(totals);
    return good ? 0 : 1;
  }
  bool good = true;
  const auto play = [&](uint64_t which) {
    good &= PlayOne(which, verbose, crashes, totals);
    return good || keep_going;
  };
  const auto start = std::chrono::steady_clock::now();
  const auto over = [&] {
    return std::chrono::steady_clock::now() - start >= std::chrono::duration<double>(seconds);
  };
  bool go_on = true;
  for (const uint64_t which : KeptSeeds(kept)) go_on = go_on && play(which);
  for (uint64_t i = 0; go_on && (seconds > 0 ? !over() : i < count); ++i) go_on = play(from + i);
  Print(totals);
  return good ? 0 : 1;
}
