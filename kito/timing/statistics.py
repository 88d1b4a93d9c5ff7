"""Is one call faster than another? Paired timing, and a verdict that may be reached early.

Nothing here knows a model: the calls, the clock and the random numbers are handed in.

Whatever disturbs a machine for longer than a call disturbs both calls of a pair, so the ratio
within a pair is far steadier than any time. The figure is the median of these ratios: the odd pair
in which only one call was disturbed does not move it.

Each round also times a twin of the original. What its ratio to the original seems to be is the
noise floor: no difference is there, so whatever is seen is the machine, and luck in where things
lie in memory, which no number of pairs would show in the interval of the other ratio.
"""

from __future__ import annotations

import math

import numpy as np

RESAMPLES = 2000


def median_interval(
    values: np.ndarray, risk: float, rng: np.random.Generator
) -> tuple[float, float]:
    """An interval that misses the median of what ``values`` are drawn from with at most ``risk``.

    Its ends are two of the sorted values, as far from the middle as the number of values above the
    true median strays from half of them. How far that is, a block bootstrap tells: it resamples
    circular blocks of sqrt(n) neighbours, which need not be independent. It is never less than
    for independent values, where that number is binomial (the interval of the sign test).

    Args:
        values: in the order of time, shape (n,), n >= 1. With fewer than :func:`least_for`, no
            interval is sure enough, and this is least to greatest.
        risk: probability, both sides together.
        rng: of the bootstrap.
    """
    count = len(values)
    sides = np.sign(values - np.median(values)) / 2
    length = max(1, math.isqrt(count))
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([sides, sides[: length - 1]]))])
    blocks = sums[length:] - sums[:-length]
    drawn = rng.integers(count, size=(RESAMPLES, math.ceil(count / length)))
    bootstrap = np.quantile(np.abs(blocks[drawn].sum(axis=1)), 1 - risk)
    binomial = np.quantile(np.abs(rng.binomial(count, 0.5, RESAMPLES) - count / 2), 1 - risk)
    first = max(math.ceil(count / 2 - max(bootstrap, binomial)) - 1, 0)
    ordered = np.sort(values)
    return float(ordered[first]), float(ordered[count - 1 - first])


def least_for(risk: float) -> int:
    """The least number of values whose range misses the median with at most ``risk``.

    All n of them lie on one side of it with probability ``2 * 2 ** -n``.
    """
    return math.ceil(1 - math.log2(risk))
