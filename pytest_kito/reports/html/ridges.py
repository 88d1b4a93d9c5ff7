"""The distributions of latencies, drawn as outlines from the quantiles that a report holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kito.reports.html import words
from pytest_kito.reports.html.plots import Tick, grid
from pytest_kito.reports.html.scale import Scale, linear
from pytest_kito.reports.read import SpeedupPart

_BINS = 48
_RIDGE_HEIGHT = 40


@dataclass(frozen=True)
class Ridge:
    """The distribution of one model's latencies: an outline, and the place of the median."""

    name: str
    path: str
    median: float
    text: str


@dataclass(frozen=True)
class Latencies:
    """The distributions of both models' latencies on one scale.

    Attributes:
        label: what was measured: batch size and engine.
        ridges: the original's and the reduced model's.
        ticks: of the axis, in milliseconds.
        grid: the lines of the ticks, as an SVG path in a box of 100 by 1.
        beyond: what lies outside of the axis; empty where nothing does.
        spoken: the same as a sentence.
    """

    label: str
    ridges: tuple[Ridge, ...]
    ticks: tuple[Tick, ...]
    grid: str
    beyond: str
    spoken: str


def latencies(x: SpeedupPart) -> Latencies | None:
    """The distributions of a speed-up; None where the report does not have them."""
    both = x.original_quantiles_ms, x.reduced_quantiles_ms
    if any(len(each) < 5 or list(each) != sorted(each) or each[0] <= 0 for each in both):
        return None
    # The slowest calls of a busy machine would squeeze all others into one line.
    top = max(each[-2] for each in both)
    scale = linear([min(each[0] for each in both), top], room=0.08)
    heights = [_heights(each, scale) for each in both]
    most = max(map(max, heights)) or 1.0
    ridges = tuple(
        Ridge(
            name,
            _outline([height / most for height in each]),
            scale.at(float(np.median(quantiles))),
            words.milliseconds(float(np.median(quantiles))),
        )
        for name, each, quantiles in zip(("original", "reduced"), heights, both, strict=True)
    )
    slowest = max(each[-1] for each in both)
    beyond = f"slowest call: {words.milliseconds(slowest)}" if slowest > scale.high else ""
    ticks = tuple(Tick(scale.at(t), f"{t:g}") for t in scale.ticks())
    return Latencies(words.timing(x), ridges, ticks, grid(ticks), beyond, words.spoken_latencies(x))


def _heights(quantiles: Sequence[float], scale: Scale) -> list[float]:
    """How many of the calls lie in each of the bins of the scale, smoothed."""
    edges = np.linspace(scale.low, scale.high, _BINS + 1)
    parts = np.linspace(0.0, 1.0, len(quantiles))
    # Equal quantiles would make a step of no width.
    places = np.asarray(quantiles) + np.arange(len(quantiles)) * (scale.high - scale.low) * 1e-6
    counts = np.diff(np.interp(edges, places, parts))
    for _ in range(3):
        counts = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
    return [float(x) for x in counts]


def _outline(heights: Sequence[float]) -> str:
    """An SVG path in a box of 1000 by 40; what is flat is one line."""
    step = 1000 / len(heights)
    tops = [round(_RIDGE_HEIGHT * (1 - x * 0.95)) for x in heights]
    points = [(0, _RIDGE_HEIGHT), *((round((i + 0.5) * step), y) for i, y in enumerate(tops))]
    points.append((1000, _RIDGE_HEIGHT))
    kept = [
        point
        for i, point in enumerate(points)
        if not 0 < i < len(points) - 1 or not points[i - 1][1] == point[1] == points[i + 1][1]
    ]
    return f"M{'L'.join(f'{x} {y}' for x, y in kept)}Z"
