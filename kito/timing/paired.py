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

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from kito.timing.statistics import least_for, median_interval
from kito.timing.verdict import Verdict, judge

FIRST_LOOK = 20
"""Pairs before the first verdict; each later look comes at twice as many."""
LEAST_PAIRS = 3
"""Pairs that are taken even where they exceed the budget."""
WARM_UP_CALLS = 50
PRECISE = 0.02
"""Without a minimum, pairs are taken until the interval is the ratio +- this part of it."""


@dataclass(frozen=True)
class Pairs:
    """What was measured.

    Attributes:
        ratio: median over the pairs of time of the original / time of the reduced.
        low: low end of the interval of ``ratio``.
        high: high end of it.
        noise_floor: how far from 1 the original's ratio to its twin can seem to be here: ``max(1 -
            low, high - 1)`` of the interval of that ratio.
        verdict: on the minimum; None where there is none.
        original: seconds of the original's call in each pair, in the order of time.
        reduced: seconds of the reduced model's call in each pair.
    """

    ratio: float
    low: float
    high: float
    noise_floor: float
    verdict: Verdict | None
    original: tuple[float, ...]
    reduced: tuple[float, ...]


def measure_pairs(
    original: Callable[[], None],
    reduced: Callable[[], None],
    twin: Callable[[], None],
    *,
    minimum: float | None,
    confidence: float,
    budget_s: float,
    rng: np.random.Generator,
    clock: Callable[[], float],
    between: Callable[[int], None] | None = None,
) -> Pairs:
    """Time two calls in pairs, in random order, until the verdict is clear or the budget is spent.

    The interval is looked at after 20, 40, 80, ... pairs and when the budget ends. Stopping at the
    first look that pleases would make errors likelier than ``1 - confidence``, so that is shared
    out: look k uses an interval that misses with probability ``(1 - confidence) / (k * (k + 1))``.
    These sum to less than ``1 - confidence`` (Bonferroni), so the interval of the result holds with
    at least ``confidence``, whichever look was the last.

    Args:
        original: one call of the original, which returns when its work is done.
        reduced: the same of the reduced model.
        twin: the same of the original, made once more.
        minimum: the ratio to judge; None to measure only, for at most a quarter of the budget.
        confidence: of the interval, for all looks together.
        budget_s: seconds, warm-up included; three pairs are taken even if they take longer.
        rng: the order within each round, and the bootstrap.
        clock: seconds from any start.
        between: called after each round, outside of what is timed, with the pairs so far.
    """
    start = clock()
    limit = budget_s if minimum is not None else budget_s / 4
    calls = (original, reduced, twin)
    with _garbage_collection_off():
        for call in calls:
            warm_up(call, clock, limit / 30)
    times: tuple[list[float], ...] = [], [], []
    goal, look = FIRST_LOOK, 0
    while True:
        in_time = _take_rounds(calls, times, goal, start + limit, rng, clock, between)
        look, goal = look + 1, goal * 2
        risk = (1 - confidence) / (look * (look + 1))
        ratios, same = np.divide(times[0], times[1]), np.divide(times[0], times[2])
        ratio, (low, high) = float(np.median(ratios)), median_interval(ratios, risk, rng)
        floor = _distance_from_one(median_interval(same, risk, rng))
        verdict: Verdict | None = None
        if minimum is not None and len(ratios) >= least_for(risk):
            verdict = judge(low, high, floor, minimum)
        precise = minimum is None and high - low <= 2 * PRECISE * ratio
        if verdict or precise or not in_time:
            verdict = verdict or (None if minimum is None else "inconclusive")
            return Pairs(ratio, low, high, floor, verdict, tuple(times[0]), tuple(times[1]))


def _distance_from_one(interval: tuple[float, float]) -> float:
    low, high = interval
    return max(1 - low, high - 1)


def warm_up(call: Callable[[], None], clock: Callable[[], float], limit: float) -> int:
    """Call until five calls are no longer faster than the five before; return how many calls.

    At least once, at most 50 times, and for about ``limit`` seconds.
    """
    start = clock()
    times: list[float] = []
    while len(times) < WARM_UP_CALLS:
        times.append(_seconds(call, clock))
        before, last = times[-10:-5], times[-5:]
        stable = len(before) == 5 and np.median(last) >= 0.95 * np.median(before)
        if stable or clock() - start >= limit:
            break
    return len(times)


def _take_rounds(
    calls: tuple[Callable[[], None], ...],
    times: tuple[list[float], ...],
    goal: int,
    deadline: float,
    rng: np.random.Generator,
    clock: Callable[[], float],
    between: Callable[[int], None] | None,
) -> bool:
    """Add rounds up to ``goal``; False where one more would end after the deadline."""
    with _garbage_collection_off():
        while len(times[0]) < goal:
            last = sum(x[-1] for x in times if x)
            if len(times[0]) >= LEAST_PAIRS and clock() + last > deadline:
                return False
            for which in rng.permutation(len(calls)):
                times[which].append(_seconds(calls[which], clock))
            if between is not None:
                between(len(times[0]))
    return True


def _seconds(call: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


@contextmanager
def _garbage_collection_off() -> Iterator[None]:
    """A collection would be counted as the time of the call that happened to cause it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
