#!/usr/bin/env python3
"""Golden vectors for common/rate, worked out a second time with exact fractions.

    python3 golden.py > golden.inc
    python3 golden.py poisson-table > ../../../common/rate/poisson_table.h

Written from the definition (due = least t with integral >= i), not from the C++ code: the inverse
is a plain binary search over an exact rational integral.
"""
import random
import sys
from fractions import Fraction

M64 = (1 << 64) - 1
FEMTO = 10**15
BLOCK = 64 * FEMTO
HOUR = 3600 * 10**9


def mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & M64
    return x ^ (x >> 31)


def key_of(seed, segment, use):
    return mix(seed ^ mix((use << 32) + segment))


TARGET, PAYLOAD, OWNER, POISSON = 1, 2, 3, 4


def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (b >> 32) ^ c1 ^ k0,
            b & 0xFFFFFFFF,
            (a >> 32) ^ c3 ^ k1,
            a & 0xFFFFFFFF,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def draw(key, place, number, kind):
    r = philox((place & 0xFFFFFFFF, place >> 32, number, kind), (key & 0xFFFFFFFF, key >> 32))
    return r[1] << 32 | r[0], r[3] << 32 | r[2]


def poisson_cdf():
    """floor(2^64 P(X <= k)) for X ~ Poisson(64), with 400 bits to spare."""
    one = 1 << 464
    term = total = one
    k = 0
    while term:
        k += 1
        term = term * 64 // k
        total += term
    probability = one * one // total  # e^-64
    below, cdf, k = 0, [], 0
    while True:
        if k:
            probability = probability * 64 // k
        below += probability
        value = (below << 64) // one
        if value >= M64:
            return cdf
        cdf.append(value)
        k += 1


CDF = poisson_cdf()


def block_count(key, block):
    u = draw(key, block // 2, 0, 0xC0)[block % 2]
    return sum(1 for value in CDF if value <= u)


def block_points(key, block):
    points = []
    for k in range(block_count(key, block)):
        u = draw(key, block, k // 2, 0xB0)[k % 2]
        points.append(block * BLOCK + (u * BLOCK >> 64))
    return sorted(points)


# Corners (ns, micro-requests/s).
PROFILES = [
    [(0, 100 * 10**6), (10 * 10**9, 100 * 10**6)],
    [(0, 0), (60 * 10**9, 1000 * 10**6)],
    [(0, 10**13), (24 * HOUR, 0)],
    [(0, 0), (24 * HOUR, 10**13)],
    [(0, 333333), (24 * HOUR, 333333)],
    [(0, 1), (24 * HOUR, 1)],
    [(0, 7), (1234567, 10**13), (1234568, 0), (999999937, 0), (10**9 + 7, 123456789012)],
    [(0, 5 * 10**6), (10**9, 777777777), (3 * 10**9, 777777777), (3333333333, 1), (5 * 10**9, 0)],
    [(0, 3333 * 10**6 + 1), (2 * 10**9, 3333 * 10**6 + 1)],
]
SEED = 20261124


def integral(profile, x):
    """Requests due up to x, as a fraction."""
    total = Fraction(0)
    for (a, ra), (b, rb) in zip(profile, profile[1:]):
        if x <= a:
            break
        y, width = min(x, b) - a, b - a
        total += Fraction(ra * y, FEMTO) + Fraction((rb - ra) * y * y, 2 * width * FEMTO)
    return total


def inverse(profile, wanted):
    low, high = 0, profile[-1][0]
    while low < high:
        middle = (low + high) // 2
        if integral(profile, middle) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def count_regular(profile, x):
    if x <= 0:
        return 0
    value = integral(profile, x - 1)
    return value.numerator // value.denominator + 1


def rows(name, fields, values):
    print(f"constexpr {name} k{name}s[] = {{")
    for value in values:
        cells = []
        for field, cell in zip(fields, value):
            cells.append(f"{cell}u" if field == "u" else f"{cell}")
        print("    {" + ", ".join(cells) + "},")
    print("};\n")


def main():
    rng = random.Random(1)
    print("// Made by golden.py; do not edit.\n")
    print("constexpr ProfileCorner kProfileCorners[] = {")
    for number, profile in enumerate(PROFILES):
        for at, rate in profile:
            print(f"    {{{number}, {at}, {rate}}},")
    print("};\n")

    due, before = [], []
    for number, profile in enumerate(PROFILES):
        length = profile[-1][0]
        count = count_regular(profile, length)
        indices = {0, 1, 2, count // 2, count - 2, count - 1}
        indices |= {rng.randrange(count) for _ in range(20)}
        for index in sorted(i for i in indices if 0 <= i < count):
            due.append((number, index, inverse(profile, index)))
        before.append((number, length, count))
        for _ in range(12):
            x = rng.randrange(length)
            before.append((number, x, count_regular(profile, x)))
        for index in sorted(i for i in indices if 0 <= i < count)[:8]:
            at = inverse(profile, index)
            before.append((number, at, count_regular(profile, at)))
            before.append((number, at + 1, count_regular(profile, at + 1)))
    rows("RegularDue", "uui", due)
    rows("RegularCount", "uiu", before)

    counts, points, dues = [], [], []
    for segment in (0, 3):
        key = key_of(SEED, segment, POISSON)
        for block in [0, 1, 2, 3, 63, 64, 65, 1000, 10**6, 2**32 + 5]:
            found = block_points(key, block)
            counts.append((segment, block, len(found)))
            for k in (0, len(found) // 2, len(found) - 1):
                points.append((segment, block, k, found[k] - block * BLOCK))
    for number in (0, 1, 7, 8):
        profile = PROFILES[number]
        key = key_of(SEED, number, POISSON)
        owner = key_of(SEED, number, OWNER)
        limit = integral(profile, profile[-1][0] - 1) * FEMTO
        every = []
        block = 0
        while block * BLOCK <= limit:
            every += block_points(key, block)
            block += 1
        every = [p for p in every if p <= limit]
        for index in sorted({0, 1, len(every) - 1} | {rng.randrange(len(every)) for _ in range(9)}):
            slot = mix((owner + index * 0xD1342543DE82EF95) & M64) * 1000 >> 64
            dues.append((number, len(every), index, inverse(profile, Fraction(every[index], FEMTO)), slot))
    rows("BlockCount", "uuu", counts)
    rows("BlockPoint", "uuuu", points)
    rows("PoissonDue", "uuuiu", dues)

    choice = []
    weights = [5, 3, 1, 7]
    for segment in (0, 1, 77):
        target, payload = key_of(SEED, segment, TARGET), key_of(SEED, segment, PAYLOAD)
        for index in [0, 1, 2, 3, 10**6, 10**9, 2**40 - 1] + [rng.randrange(10**11) for _ in range(8)]:
            x = target + index * 0x9E3779B97F4A7C15 & M64
            y = payload + index * 0x6A09E667F3BCC909 & M64
            chosen = next(
                t for t in range(4) if t == 3 or x < (sum(weights[: t + 1]) << 64) // sum(weights)
            )
            choice.append((segment, index, chosen, y * 1000 >> 64))
    rows("Choice", "uuuu", choice)

    replay = []
    for num, den in ((1, 1), (3, 2), (2, 3), (1000000007, 999999937)):
        for instant in (0, 1, 2, 3, 10**9, 86399999999999, 123456789):
            wanted = Fraction(instant * den, num)
            replay.append((num, den, instant, -(-wanted.numerator // wanted.denominator)))
    rows("ReplayDue", "iiii", replay)


def table():
    print("#pragma once\n\n#include <array>\n#include <cstdint>\n")
    print("namespace broadside::rate::internal {\n")
    print("/// floor(2^64 · P(X ≤ k)) for X ~ Poisson(64), k = 0, 1, …; beyond the table it is 2^64 − 1.")
    print("/// Made by tests/common/rate/golden.py.")
    print(f"inline constexpr std::array<uint64_t, {len(CDF)}> kPoisson64Cdf = {{")
    for first in range(0, len(CDF), 4):
        print("    " + " ".join(f"0x{value:016X}u," for value in CDF[first : first + 4]))
    print("};\n\n}  // namespace broadside::rate::internal")


if __name__ == "__main__":
    table() if sys.argv[1:] == ["poisson-table"] else main()
