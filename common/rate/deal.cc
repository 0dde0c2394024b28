#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/check.h"
#include "common/rate/mix.h"
#include "common/rate/schedule.h"

namespace broadside::rate {
namespace {

constexpr uint64_t kExactSlots = 4096;
constexpr uint64_t kAlwaysEven = 128;
constexpr uint64_t kGoodQuotient = 20;
constexpr uint64_t kMaxOwners = 16384;
constexpr uint64_t kMaxSlots = 16 * kExactSlots;

/// The owner of one slot in `slots` meets the target sequence with the step `slots`·α. The largest
/// partial quotient of its continued fraction, up to denominators of 10⁵, says how uneven that is:
/// after q steps, q a denominator, it is back within 1/(q · next quotient) of where it was.
uint64_t WorstQuotient(uint64_t slots) {
  uint128 a = uint128{1} << 64;
  uint128 b = slots * internal::kTargetStep;  // modulo 2^64
  uint64_t worst = 0;
  uint64_t before = 0;
  uint64_t denominator = 1;
  while (b != 0 && denominator <= 100'000) {
    const auto quotient = static_cast<uint64_t>(a / b);
    worst = std::max(worst, quotient);
    const uint64_t next = quotient > 100'000 ? 100'001 : quotient * denominator + before;
    before = denominator;
    denominator = next;
    a = std::exchange(b, a % b);
  }
  return worst;
}

/// Slots for each weight in a table of `slots`: at least one for a weight > 0, rounded to nearest.
/// False if some share is more than 0.1 % off or the sum is not `slots`.
bool Fits(const std::vector<uint64_t>& weights, uint128 total, uint64_t slots,
          std::vector<uint64_t>& out) {
  uint64_t sum = 0;
  for (size_t k = 0; k < weights.size(); ++k) {
    const uint128 exact = uint128{weights[k]} * slots;  // in units of 1/total slot
    const auto rounded = static_cast<uint64_t>((exact + total / 2) / total);
    const uint128 given = uint128{rounded} * total;
    const uint128 error = given > exact ? given - exact : exact - given;
    if (error * 1000 > exact) return false;
    out[k] = rounded;
    sum += rounded;
  }
  return sum == slots;
}

/// The largest remainders of `slots` slots, where every weight > 0 has one slot for certain.
void Apportion(const std::vector<uint64_t>& weights, uint128 total, uint64_t slots,
               std::vector<uint64_t>& out) {
  uint64_t given = 0;
  std::vector<std::pair<uint128, size_t>> remainders;
  for (size_t k = 0; k < weights.size(); ++k) {
    const uint128 exact = uint128{weights[k]} * slots;
    out[k] = static_cast<uint64_t>(exact / total);
    if (out[k] == 0 && weights[k] > 0) {
      out[k] = 1;
    } else {
      remainders.push_back({exact % total, k});
    }
    given += out[k];
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [remainder, k] : remainders) {
    if (given >= slots) break;
    ++out[k];
    ++given;
  }
}

/// Numbers of slots in the ratio of `weights`: exact ones if they are few, else some tables that
/// come close, the smallest first.
std::vector<std::vector<uint64_t>> SlotCounts(std::vector<uint64_t> weights) {
  constexpr size_t kMostChoices = 6;
  uint64_t divisor = 0;
  for (uint64_t weight : weights) divisor = std::gcd(divisor, weight);
  if (divisor == 0) return {weights};
  uint128 total = 0;
  for (uint64_t& weight : weights) total += (weight /= divisor);
  if (total <= kExactSlots) return {weights};
  std::vector<std::vector<uint64_t>> choices;
  std::vector<uint64_t> counts(weights.size());
  for (uint64_t slots = 1; slots <= kMaxSlots && choices.size() < kMostChoices; ++slots) {
    if (!Fits(weights, total, slots, counts)) continue;
    if (slots > kAlwaysEven && WorstQuotient(slots) > kGoodQuotient) continue;
    choices.push_back(counts);
  }
  if (!choices.empty()) return choices;
  uint64_t slots = kMaxSlots;
  while (WorstQuotient(slots) > kGoodQuotient) --slots;
  Apportion(weights, total, slots, counts);
  return {counts};
}

/// Each owner's slots as evenly as can be: its j-th of n is wanted at (j + 1/2)/n of the table, and
/// slots are given in that order. The last of `counts` is nobody's.
std::vector<int32_t> Interleave(const std::vector<uint64_t>& counts) {
  struct Wish {
    uint64_t numerator;    ///< 2j + 1
    uint64_t denominator;  ///< n
    int32_t owner;
  };
  std::vector<Wish> wishes;
  for (size_t k = 0; k < counts.size(); ++k) {
    const auto owner = k + 1 == counts.size() ? Deal::kNobody : static_cast<int32_t>(k);
    for (uint64_t j = 0; j < counts[k]; ++j) wishes.push_back({2 * j + 1, counts[k], owner});
  }
  std::stable_sort(wishes.begin(), wishes.end(), [](const Wish& a, const Wish& b) {
    return a.numerator * b.denominator < b.numerator * a.denominator;
  });
  std::vector<int32_t> slots;
  slots.reserve(wishes.size());
  for (const Wish& wish : wishes) slots.push_back(wish.owner);
  return slots;
}

/// Rounds of `table`, each turned by `turn` slots against the one before.
std::vector<int32_t> Rotate(const std::vector<int32_t>& table, uint64_t turn, uint64_t rounds) {
  const uint64_t width = table.size();
  std::vector<int32_t> slots;
  slots.reserve(width * rounds);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (uint64_t at = 0; at < width; ++at) {
      slots.push_back(table[(at + width - round * turn % width) % width]);
    }
  }
  return slots;
}

/// How unevenly the target sequence falls on owner `owner` of the table within its first 10⁵
/// arrivals: the largest difference, over arcs of 1/128ths, between what fell there and its share.
double Unevenness(const std::vector<int32_t>& slots, int32_t owner) {
  constexpr int kCells = 128;
  constexpr int kArrivals = 100'000;
  std::vector<uint64_t> mine;
  for (uint64_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] == owner) mine.push_back(slot);
  }
  std::array<int, kCells> cells{};
  double worst = 0;
  size_t turn = 0;
  uint64_t base = 0;
  for (int n = 1; n <= kArrivals; ++n) {
    ++cells[((base + mine[turn]) * internal::kTargetStep) >> 57];
    if (++turn == mine.size()) {
      turn = 0;
      base += slots.size();
    }
    if (n % (kArrivals / 4) != 0 || n < kArrivals / 2) continue;
    double sum = 0;
    double low = 0;
    double high = 0;
    for (int cell : cells) {
      sum += cell - static_cast<double>(n) / kCells;
      low = std::min(low, sum);
      high = std::max(high, sum);
    }
    worst = std::max(worst, high - low);
  }
  return worst / kArrivals;
}

/// The worst of `owners`, or something above `enough` as soon as one is.
double Unevenness(const std::vector<int32_t>& slots, const std::vector<int32_t>& owners,
                  double enough) {
  double worst = 0;
  for (int32_t owner : owners) {
    worst = std::max(worst, Unevenness(slots, owner));
    if (worst > enough) break;
  }
  return worst;
}

/// Up to 12 owners that stand for all: evenly chosen in the order of their numbers of slots. Of
/// owners with one slot each, three will do, since they see the same steps.
std::vector<int32_t> Sample(const std::vector<uint64_t>& counts) {
  std::vector<int32_t> owners;
  for (size_t k = 0; k + 1 < counts.size(); ++k) {
    if (counts[k] > 0) owners.push_back(static_cast<int32_t>(k));
  }
  if (owners.empty()) return owners;
  std::stable_sort(owners.begin(), owners.end(),
                   [&](int32_t a, int32_t b) { return counts[a] < counts[b]; });
  const size_t most = counts[owners.back()] == 1 ? 3 : 12;
  if (owners.size() <= most) return owners;
  std::vector<int32_t> sample;
  for (size_t k = 0; k < most; ++k) {
    sample.push_back(owners[k * (owners.size() - 1) / (most - 1)]);
  }
  return sample;
}

/// The number of rounds, at most `most`, whose table has the most even step.
uint64_t EvenRounds(uint64_t width, uint64_t most) {
  uint64_t best = most;
  for (uint64_t rounds = most; rounds >= 2 && rounds > most / 2; --rounds) {
    if (WorstQuotient(rounds * width) < WorstQuotient(best * width)) best = rounds;
  }
  return best;
}

/// The first of `choices` whose table spreads every owner's arrivals over targets, or the best.
///
/// An owner with one slot in W sees the target sequence with the step W·α, which is uneven when
/// that is close to a simple fraction (W = 987, say); owners with several slots meet such
/// resonances at other shares. Repeating the table with turned rounds gives them other steps.
/// Tables up to 128 slots are even enough as they are: no partial quotient of W·α exceeds √5·W.
std::vector<int32_t> EvenTable(const std::vector<std::vector<uint64_t>>& choices) {
  constexpr double kEven = 0.0007;
  double best = 1;
  std::vector<int32_t> chosen;
  for (const std::vector<uint64_t>& counts : choices) {
    std::vector<int32_t> table = Interleave(counts);
    const std::vector<int32_t> sample = Sample(counts);
    if (table.size() <= kAlwaysEven || sample.size() < 2) return table;
    const auto consider = [&](std::vector<int32_t> other) {
      const double unevenness = Unevenness(other, sample, best);
      if (unevenness >= best) return;
      best = unevenness;
      chosen = std::move(other);
    };
    consider(table);
    for (uint64_t most : {kMaxSlots / 4, kMaxSlots / 2, kMaxSlots}) {
      if (best <= kEven) return chosen;
      const uint64_t rounds = EvenRounds(table.size(), most / table.size());
      for (uint64_t turn : {12, 7, 19, 41, 59}) {
        if (best > kEven && rounds >= 2) consider(Rotate(table, turn, rounds));
      }
    }
  }
  return chosen;
}

}  // namespace

Deal MakeDeal(ShardEpoch epoch, IntervalIndex first, const std::vector<Incarnation>& owners,
              const std::vector<uint64_t>& weights, uint64_t nobody_weight) {
  BROADSIDE_CHECK(owners.size() == weights.size() && owners.size() <= kMaxOwners);
  std::vector<uint64_t> shares = weights;
  shares.push_back(nobody_weight);
  Deal deal{.epoch = epoch, .first = first, .owners = owners};
  deal.slots = EvenTable(SlotCounts(std::move(shares)));
  if (deal.slots.empty()) deal.slots = {Deal::kNobody};
  return deal;
}

}  // namespace broadside::rate
