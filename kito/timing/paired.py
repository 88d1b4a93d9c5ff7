"""Paired timing: two calls timed side by side until it is clear which one is faster.

The calls, the clock and the random numbers are passed in, so all of it can be tested with a
simulated machine.

Whatever disturbs a machine for longer than a call disturbs both calls of a pair, so the ratio
within a pair is far steadier than any time. The figure is the median of these ratios: the odd pair
in which only one call was disturbed does not move it.

Each round also times a control: the original, compiled once more. Its true ratio to the original is
1. How far from 1 it seems to be is the noise floor. It holds the noise of the machine, and the luck
of where things lie in memory, which no number of pairs would show in the interval of the other
ratio.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from kito.timing.protocol import Calls, Pairs, Question, Verdict
from kito.timing.statistics import least_for, median_interval
from kito.timing.verdict import judge

FIRST_LOOK = 20
"""Pairs before the first verdict; each later look comes at twice as many."""
LEAST_PAIRS = 3
"""Pairs that are taken even where they exceed the budget."""
WARM_UP_CALLS = 50
"""Calls to warm up, at most."""
PRECISE = 0.02
"""Without a minimum, pairs are taken until the interval is the ratio +- this part of it."""


def measure_pairs(
    calls: Calls,
    question: Question,
    *,
    rng: np.random.Generator,
    clock: Callable[[], float],
    between: Callable[[int], None] | None = None,
) -> Pairs:
    """Time two calls in pairs, in random order, until the verdict is clear or the budget is spent.

    The interval is looked at after 20, 40, 80, ... pairs and when the budget ends. Stopping at the
    first look with a verdict would make errors likelier than ``1 - confidence``, so that risk is
    shared among the looks: look k uses an interval that misses with probability
    ``(1 - confidence) / (k * (k + 1))``. These sum to less than ``1 - confidence`` (Bonferroni), so
    the interval of the result holds with at least ``confidence``, whichever look was the last.

    Args:
        calls: what is timed. Each round times all three.
        question: the minimum, the confidence and the budget.
        rng: for the order within each round, and for the bootstrap.
        clock: seconds from any start.
        between: called after each round, outside of what is timed, with the number of pairs so far.
    """
    start = clock()
    minimum = question.minimum
    limit = question.budget_s if minimum is not None else question.budget_s / 4
    three = (calls.original, calls.reduced, calls.control)
    with _garbage_collection_off():
        for call in three:
            warm_up(call, clock, limit / 30)
    times: tuple[list[float], ...] = [], [], []
    goal, look = FIRST_LOOK, 0
    while True:
        in_time = _take_rounds(three, times, goal, start + limit, rng, clock, between)
        look, goal = look + 1, goal * 2
        risk = (1 - question.confidence) / (look * (look + 1))
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
    """Add rounds up to ``goal``; return False where one more would end after the deadline."""
    with _garbage_collection_off():
        while len(times[0]) < goal:
            last_round = sum(of_call[-1] for of_call in times if of_call)
            if len(times[0]) >= LEAST_PAIRS and clock() + last_round > deadline:
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
    """Keep a garbage collection from being counted as the time of the call that triggered it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
