"""The cluster's histogram layout, worked out anew from its definition: lowest 1, highest 3.6e12, 3 digits.

An oracle must not share code with what it checks.
"""

import math

SUB_BUCKETS = 2048  # the least power of two that separates 2 * 10^3 values
HALF = SUB_BUCKETS // 2
HIGHEST = 3_600_000_000_000


def slot_of(value):
    """Index of the slot that holds `value` ns; values above an hour go to the hour's slot."""
    value = min(value, HIGHEST)
    bucket = max(0, value.bit_length() - SUB_BUCKETS.bit_length() + 1)
    return (bucket + 1) * HALF + (value >> bucket) - HALF


def slot_range(slot):
    """Least and greatest value of a slot."""
    if slot < SUB_BUCKETS:
        return slot, slot
    bucket = slot // HALF - 1
    low = (slot - bucket * HALF) << bucket
    return low, low + (1 << bucket) - 1


def percentile(values, ppm, unanswered=0):
    """Percentile of `values` with `unanswered` slower than all: None where there is none.

    rank = max(1, ceil(n * ppm / 10^6)); the answer is the top of the slot at that rank, but at most
    the greatest value.
    """
    n = len(values) + unanswered
    if n == 0:
        return None
    rank = max(1, -(-n * ppm // 1_000_000))
    if rank > len(values):
        return None
    ordered = sorted(values)
    return min(slot_range(slot_of(ordered[rank - 1]))[1], ordered[-1])


def poisson_band(mean):
    """Where a Poisson count lies with 99.9 %, by the normal approximation (mean >= 100)."""
    half = 3.2905 * math.sqrt(mean)
    return mean - half, mean + half
