"""Scales of plots: where a value lies, in percent of the plot's width, and which ticks it has.

A plot is as wide as the page allows and its texts keep their size, so every place along it is a
percentage.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MARGIN = 3.0
"""Percent that stay free on both sides, for what is drawn around a value."""
_MOST_TICKS = 5
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic scale.

    Attributes:
        low: the value at its start.
        high: the value at its end, above ``low``.
        log: whether it is logarithmic; ``low`` is above 0 then.
    """

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value in percent; one that lies outside is at the nearer end."""
        if self.log:
            value = max(value, self.low)
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return round(MARGIN + (100 - 2 * MARGIN) * min(max(part, 0.0), 1.0), 1)

    def ticks(self) -> list[float]:
        """A few round values."""
        if self.log and self.high / self.low >= 4:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            if last - first < 2:
                candidates = [m * 10.0**p for p in range(first - 1, last + 1) for m in (1, 2, 5)]
                return [x for x in candidates if self.low <= x <= self.high]
            step = max(1, math.ceil((last - first + 1) / _MOST_TICKS))
            return [10.0**power for power in range(last, first - 1, -step)][::-1]
        rough = (self.high - self.low) / _MOST_TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step_size = next(unit * x for x in _STEPS if unit * x >= rough * 0.999)
        first = math.ceil(self.low / step_size - 1e-9)
        last = math.floor(self.high / step_size + 1e-9)
        return [float(f"{x * step_size:.10g}") for x in range(first, last + 1)]


def linear(values: Iterable[float], room: float = 0.06) -> Scale:
    """A linear scale that holds all values, with room for a part of their range on both sides."""
    found = list(values) or [0.0, 1.0]
    low, high = min(found), max(found)
    extra = (high - low) * room or abs(high) * 0.1 or 0.1
    return Scale(low - extra, high + extra)


def ratios(values: Iterable[float]) -> Scale:
    """A scale for ratios: linear, or logarithmic where they differ by much."""
    found = [x for x in values if x > 0] or [1.0]
    low, high = min(found), max(found)
    return Scale(low / 1.15, high * 1.15, log=True) if high / low > 4 else linear(found)


def decades(values: Iterable[float], most: int = 14) -> Scale:
    """A logarithmic scale from a power of ten to another that holds all values above 0."""
    found = [x for x in values if x > 0] or [1.0]
    high = math.ceil(math.log10(max(found)) + 0.15)
    low = min(math.floor(math.log10(min(found)) - 0.15), high - 2)
    return Scale(10.0 ** max(low, high - most, -300), 10.0 ** min(high, 300), log=True)
