"""One look at the rounds so far: the intervals, the verdict, and whether more rounds would help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kito.timing.statistics import least_for, median_interval
from kito.timing.verdict import judge


@dataclass(frozen=True)
class Look:
    """What the rounds so far show.

    Attributes:
        count: how many rounds.
        risk: probability with which an interval misses.
        ratio: median of original / reduced.
        low: low end of the interval of ``ratio``.
        high: high end of the interval of ``ratio``.
        same: median of original / control, and the ends of its interval.
    """

    count: int
    risk: float
    ratio: float
    low: float
    high: float
    same: tuple[float, float, float]

    @property
    def floor(self) -> float:
        """How far from 1 the ratio of the original to the control can seem to be."""
        _, low, high = self.same
        return max(1 - low, high - 1)

    def verdict(self, minimum: float) -> Literal["pass", "fail"] | None:
        """The verdict on a minimum; None where there is none yet."""
        if self.count < least_for(self.risk):
            return None
        return judge(self.low, self.high, self.floor, minimum)

    def would_decide(self, minimum: float, rounds: int) -> bool:
        """Whether there would be a verdict after so many rounds if both medians stayed.

        The intervals are assumed to shrink as ``1 / sqrt(rounds)``.
        """
        part = math.sqrt(self.count / max(rounds, 1))
        ratio, (same, same_low, same_high) = self.ratio, self.same
        low, high = ratio - part * (ratio - self.low), ratio + part * (self.high - ratio)
        floor = max(1 - same + part * (same - same_low), same + part * (same_high - same) - 1)
        return judge(low, high, floor, minimum) is not None


def take_look(times: Sequence[Sequence[float]], risk: float, rng: np.random.Generator) -> Look:
    """Look at the seconds of the original, the reduced model and the control, round by round.

    Args:
        times: three sequences of equal length n >= 1, in the order of time.
        risk: probability with which an interval may miss.
        rng: for the bootstrap.
    """
    original, reduced, control = times
    ratios, same = np.divide(original, reduced), np.divide(original, control)
    low, high = median_interval(ratios, risk, rng)
    control_interval = median_interval(same, risk, rng)
    return Look(
        len(ratios),
        risk,
        float(np.median(ratios)),
        low,
        high,
        (float(np.median(same)), *control_interval),
    )
