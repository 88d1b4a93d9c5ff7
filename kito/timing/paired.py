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

from kito.timing.budget import plan
from kito.timing.look import take_look
from kito.timing.protocol import Calls, Pairs, Question

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

    The interval is looked at after 20, 40, 80, ... pairs, or 60, 120, 240, ... with the budget
    ``auto``, and when the time ends. Stopping at the first look with a verdict would make errors
    likelier than ``1 - confidence``, so that risk is shared among the looks: look k uses an
    interval that misses with probability ``(1 - confidence) / (k * (k + 1))``. These sum to less
    than ``1 - confidence`` (Bonferroni), so the interval of the result holds with at least
    ``confidence``, whichever look was the last.

    Args:
        calls: what is timed. Each round times all three.
        question: the minimum, the confidence and the budget.
        rng: for the order within each round, and for the bootstrap.
        clock: seconds from any start.
        between: called after each round, outside of what is timed, with the number of pairs so far.
    """
    start, minimum = clock(), question.minimum
    schedule = plan(question.budget_s, judged=minimum is not None)
    limit = schedule.most_s
    three = (calls.original, calls.reduced, calls.control)
    with garbage_collection_off():
        for call in three:
            warm_up(call, clock, schedule.usual_s / 30)
    times: tuple[list[float], ...] = [], [], []
    goal, number = schedule.first_look, 0
    while True:
        in_time = _take_rounds(three, times, goal, start + limit, rng, clock, between)
        number, goal = number + 1, goal * 2
        risk = (1 - question.confidence) / (number * (number + 1))
        look = take_look(times, risk, rng)
        verdict = None if minimum is None else look.verdict(minimum)
        precise = minimum is None and look.high - look.low <= 2 * PRECISE * look.ratio
        seconds = clock() - start
        if minimum is not None:
            in_reach = look.would_decide(minimum, schedule.horizon(look.count, seconds))
            limit = schedule.limit_s(look.count, in_reach)
        if verdict or precise or not in_time or seconds >= limit:
            return Pairs(
                ratio=look.ratio,
                low=look.low,
                high=look.high,
                noise_floor=look.floor,
                verdict=verdict or (None if minimum is None else "inconclusive"),
                original=tuple(times[0]),
                reduced=tuple(times[1]),
                seconds=seconds,
            )


def warm_up(call: Callable[[], object], clock: Callable[[], float], limit: float) -> int:
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
    with garbage_collection_off():
        while len(times[0]) < goal:
            last_round = sum(of_call[-1] for of_call in times if of_call)
            if len(times[0]) >= LEAST_PAIRS and clock() + last_round > deadline:
                return False
            for which in rng.permutation(len(calls)):
                times[which].append(_seconds(calls[which], clock))
            if between is not None:
                between(len(times[0]))
    return True


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Keep a garbage collection from being counted as the time of the call that triggered it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
