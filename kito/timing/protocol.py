"""What a paired timing is asked, what it times, and what it measures.

Plain data: nothing here knows a model or a device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kito.timing.budget import Budget

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Question:
    """Is the reduced model at least ``minimum`` times as fast?

    Attributes:
        minimum: the ratio to reach; None to measure without a verdict, for at most a quarter of the
            budget.
        confidence: of the interval, above 0 and below 1, for all looks at it together.
        budget_s: seconds for warm-up and pairs, or ``auto`` (:mod:`kito.timing.budget`). Three
            pairs are timed even if they take longer.
    """

    minimum: float | None
    confidence: float = 0.95
    budget_s: Budget = "auto"


@dataclass(frozen=True)
class Calls:
    """The three calls that are timed. Each returns when its work is done.

    Attributes:
        original: one call of the original.
        reduced: one call of the reduced model.
        control: one call of the original, compiled once more. Its ratio to ``original`` shows how
            large a difference can seem where there is none.
    """

    original: Callable[[], None]
    reduced: Callable[[], None]
    control: Callable[[], None]


@dataclass(frozen=True)
class Pairs:
    """The result of a paired timing.

    Attributes:
        ratio: median over the pairs of time of the original / time of the reduced model.
        low: low end of the interval of ``ratio``.
        high: high end of the interval of ``ratio``.
        noise_floor: how far from 1 the ratio of the original to the control can seem to be on this
            machine: ``max(1 - low, high - 1)`` of the interval of that ratio.
        verdict: on the minimum; None where there is no minimum.
        original: seconds of the original's call in each pair, in the order of time.
        reduced: seconds of the reduced model's call in each pair, in the order of time.
        seconds: what warm-up and rounds took.
    """

    ratio: float
    low: float
    high: float
    noise_floor: float
    verdict: Verdict | None
    original: tuple[float, ...]
    reduced: tuple[float, ...]
    seconds: float
