"""The interval of a median, for values whose neighbours in time need not be independent."""

from __future__ import annotations

import math

import numpy as np

RESAMPLES = 2000
"""Samples of the bootstrap."""


def median_interval(
    values: np.ndarray, risk: float, rng: np.random.Generator
) -> tuple[float, float]:
    """An interval that misses the median of what ``values`` are drawn from with at most ``risk``.

    Its ends are two of the sorted values. They lie as far from the middle as the number of values
    above the true median strays from half of them. A block bootstrap estimates how far that is: it
    resamples circular blocks of sqrt(n) neighbours, which need not be independent. The interval is
    never narrower than for independent values, where that number is binomial (the interval of the
    sign test).

    Args:
        values: in the order of time, shape (n,), n >= 1. With fewer than :func:`least_for`, no
            interval is sure enough, and the result is the least and the greatest value.
        risk: probability of missing, both sides together.
        rng: for the bootstrap.
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

    All n of them lie on one side of the median with probability ``2 * 2 ** -n``.
    """
    return math.ceil(1 - math.log2(risk))
