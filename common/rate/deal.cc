#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "common/base/check.h"
#include "common/rate/mix.h"
#include "common/rate/schedule.h"

namespace broadside::rate {
namespace {

constexpr uint64_t kExactSlots = 4096;
constexpr uint64_t kMaxSlots = 4 * kExactSlots;
constexpr uint64_t kMaxRotatedSlots = 65536;

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

/// Whole slots in the ratio of `weights`, whose sum is the table's size.
std::vector<uint64_t> SlotCounts(std::vector<uint64_t> weights) {
  uint64_t divisor = 0;
  for (uint64_t weight : weights) divisor = std::gcd(divisor, weight);
  if (divisor == 0) return weights;
  uint128 total = 0;
  for (uint64_t& weight : weights) total += (weight /= divisor);
  if (total <= kExactSlots) return weights;
  std::vector<uint64_t> counts(weights.size());
  for (uint64_t slots = 1; slots <= kMaxSlots; ++slots) {
    if (Fits(weights, total, slots, counts)) return counts;
  }
  Apportion(weights, total, kMaxSlots, counts);
  return counts;
}

/// Each owner's slots as evenly as can be: its j-th of n is wanted at (2j + 1)/(2n) of the table,
/// and slots are given in that order.
std::vector<int32_t> Interleave(const std::vector<uint64_t>& counts, int32_t nobody_at) {
  struct Wish {
    uint64_t numerator;    ///< 2j + 1
    uint64_t denominator;  ///< n
    int32_t owner;
  };
  std::vector<Wish> wishes;
  for (size_t k = 0; k < counts.size(); ++k) {
    const auto owner =
        static_cast<int32_t>(k) == nobody_at ? Deal::kNobody : static_cast<int32_t>(k);
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

/// The owners to look at: those with the fewest and the most slots, the first and a middle one.
double Unevenness(const std::vector<int32_t>& slots, const std::vector<int32_t>& owners) {
  double worst = 0;
  for (int32_t owner : owners) worst = std::max(worst, Unevenness(slots, owner));
  return worst;
}

/// An owner with one slot in W sees the target sequence with the step W·α, which is uneven when W
/// is close to the denominator of a convergent of q·α (W = 987, say). Then the table is repeated
/// with turned rounds, which gives it other steps. Tables up to 128 slots are even enough as they
/// are: no partial quotient of W·α exceeds √5·W.
std::vector<int32_t> SpreadOverTargets(std::vector<int32_t> table,
                                       const std::vector<uint64_t>& counts, size_t owner_count) {
  constexpr uint64_t kAlwaysEven = 128;
  constexpr double kEven = 0.0006;
  if (table.size() <= kAlwaysEven) return table;
  std::vector<int32_t> looked_at;
  for (size_t k = 0; k < owner_count; ++k) {
    if (counts[k] > 0) looked_at.push_back(static_cast<int32_t>(k));
  }
  if (looked_at.size() < 2) return table;
  const auto fewer = [&](int32_t a, int32_t b) { return counts[a] < counts[b]; };
  const auto [least, most] = std::minmax_element(looked_at.begin(), looked_at.end(), fewer);
  looked_at = {looked_at.front(), *least, *most, looked_at[looked_at.size() / 2]};
  std::sort(looked_at.begin(), looked_at.end());
  looked_at.erase(std::unique(looked_at.begin(), looked_at.end()), looked_at.end());

  double best = Unevenness(table, looked_at);
  if (best <= kEven) return table;
  std::vector<int32_t> chosen = table;
  const uint64_t most_rounds = kMaxRotatedSlots / table.size();
  for (uint64_t divisor : {4, 3, 2, 1}) {
    for (uint64_t turn : {1, 2, 3, 5}) {
      const uint64_t rounds = most_rounds / divisor;
      if (rounds < 2) continue;
      std::vector<int32_t> turned = Rotate(table, turn, rounds);
      const double unevenness = Unevenness(turned, looked_at);
      if (unevenness < best) {
        best = unevenness;
        chosen = std::move(turned);
      }
      if (best <= kEven) return chosen;
    }
  }
  return chosen;
}

}  // namespace

Deal MakeDeal(ShardEpoch epoch, IntervalIndex first, const std::vector<Incarnation>& owners,
              const std::vector<uint64_t>& weights, uint64_t nobody_weight) {
  BROADSIDE_CHECK(owners.size() == weights.size() && owners.size() < kMaxSlots);
  std::vector<uint64_t> shares = weights;
  shares.push_back(nobody_weight);
  const std::vector<uint64_t> counts = SlotCounts(std::move(shares));
  Deal deal{.epoch = epoch, .first = first, .owners = owners};
  deal.slots = SpreadOverTargets(Interleave(counts, static_cast<int32_t>(owners.size())), counts,
                                 owners.size());
  if (deal.slots.empty()) deal.slots = {Deal::kNobody};
  return deal;
}

}  // namespace broadside::rate
