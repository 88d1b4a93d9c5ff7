"""The engine of every timing here: calls timed in rounds, ratios taken within a round.

Whatever disturbs a machine for longer than a call disturbs all calls of a round. So the ratio
within a round is far steadier than any time. The figure is the median of these ratios, its interval
(95 %) that of :func:`kito.timing.statistics.median_interval`, a block bootstrap.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np

from kito.timing.paired import garbage_collection_off, warm_up
from kito.timing.statistics import least_for, median_interval

RISK = 0.05
LEAST_ROUNDS = 2 * least_for(RISK)
"""Half as many give an interval: from the smallest ratio to the largest. With twice as many it no
longer depends on a single disturbed round, so these are taken even where they exceed the budget."""
QUICK = "BENCHMARKS_QUICK"
"""Set in the environment of a cell that only tries whether everything works."""

Times = dict[str, np.ndarray]
"""Seconds of each call, by name, in the order of the rounds."""


class Ratio(TypedDict):
    """The median of a ratio over the rounds, and its interval of 95 %."""

    median: float
    low: float
    high: float


def quick() -> bool:
    """Whether this run only tries whether everything works: a few rounds, small networks."""
    return bool(os.environ.get(QUICK))


def take_rounds(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 60,
    budget_s: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Time all calls once in each round, in random order, after a warm-up.

    Args:
        calls: what is timed, by name.
        rounds: how many, at most; with ``--quick`` three.
        budget_s: seconds after which no round begins, but for the first :data:`LEAST_ROUNDS`.
        clock: seconds from any start.
    """
    rng = np.random.default_rng(0)
    rounds, least = (3, 3) if quick() else (rounds, LEAST_ROUNDS)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with garbage_collection_off():
        for call in calls.values():
            warm_up(call, clock, budget_s / 30)
        end = clock() + budget_s
        for index in range(rounds):
            if index >= least and clock() > end:
                break
            for name in rng.permutation(list(calls)):
                start = clock()
                calls[name]()
                seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(slow: np.ndarray, fast: np.ndarray) -> Ratio:
    """Times of one call over times of another in the same rounds: above 1, the other is faster."""
    values = slow / fast
    low, high = median_interval(values, RISK, np.random.default_rng(0))
    return Ratio(median=float(np.median(values)), low=low, high=high)


def milliseconds(seconds: np.ndarray) -> float:
    """The median, in milliseconds."""
    return 1e3 * float(np.median(seconds))


def times(value: Ratio) -> str:
    """The ratio as text: ``1.23x [1.20, 1.25]``."""
    return f"{value['median']:.2f}x [{value['low']:.2f}, {value['high']:.2f}]"
