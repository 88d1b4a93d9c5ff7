"""What the plots of the HTML report show, as places in percent; a template draws them as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kito.reports.html import words
from pytest_kito.reports.html.scale import MARGIN, Scale, decades, linear, ratios
from pytest_kito.reports.read import EquivalencePart, SpeedupPart

MOST_OUTPUTS = 24
"""Outputs that are drawn: those with the largest differences. The table has all of them."""
_BINS = 48
_RIDGE_HEIGHT = 40


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in percent, and its text."""

    at: float
    text: str


def _grid(ticks: Iterable[Tick]) -> str:
    return "".join(f"M{tick.at:g} 0v1" for tick in ticks)


@dataclass(frozen=True)
class Interval:
    """A speed-up on a scale.

    Attributes:
        data: its figures.
        label: what was measured: batch size and engine.
        at: the place of the ratio.
        low, high: the ends of the interval.
        noise: the ends of the noise floor around 1; None where it is not known.
        minimum: the place of the declared minimum; None without one.
        spoken: the same as a sentence, for who does not see it.
    """

    data: SpeedupPart
    label: str
    at: float
    low: float
    high: float
    noise: tuple[float, float] | None
    minimum: float | None
    spoken: str


@dataclass(frozen=True)
class Intervals:
    """Speed-ups on one scale.

    Attributes:
        rows: the speed-ups.
        ticks: of the axis.
        one: the place of 1, where nothing is gained.
        grid: the lines of the ticks, as an SVG path in a box of 100 by 1.
    """

    rows: tuple[Interval, ...]
    ticks: tuple[Tick, ...]
    one: float
    grid: str


def intervals(speedups: Iterable[SpeedupPart], shared: Scale | None = None) -> Intervals | None:
    """The speed-ups that were measured; None if there are none.

    Args:
        speedups: entries of the section ``speedup``.
        shared: the scale of several models; None for one that fits these.
    """
    measured = [x for x in speedups if is_measured(x)]
    if not measured:
        return None
    scale = shared or ratio_scale(measured)
    rows = tuple(_interval(x, scale) for x in measured)
    ticks = tuple(Tick(scale.at(x), f"{x:g}×") for x in scale.ticks())
    return Intervals(rows, ticks, scale.at(1.0), _grid(ticks))


def is_measured(x: SpeedupPart) -> bool:
    """Whether a speed-up has a ratio and its interval."""
    return all(value is not None and value > 0 for value in (x.ratio, x.low, x.high))


def ratio_scale(speedups: Iterable[SpeedupPart]) -> Scale:
    """A scale that holds these speed-ups, their minimums and noise floors, and 1."""
    values = [1.0]
    for x in speedups:
        values += [value for value in (x.low, x.ratio, x.high, x.minimum) if value]
        if x.noise_floor is not None:
            values += [max(1 - x.noise_floor, 0.05), 1 + x.noise_floor]
    return ratios(values)


def _interval(x: SpeedupPart, scale: Scale) -> Interval:
    assert x.ratio is not None
    assert x.low is not None
    assert x.high is not None
    noise = x.noise_floor
    return Interval(
        data=x,
        label=words.timing(x),
        at=scale.at(x.ratio),
        low=scale.at(x.low),
        high=scale.at(x.high),
        noise=None if noise is None else (scale.at(1 - noise), scale.at(1 + noise)),
        minimum=scale.at(x.minimum) if x.minimum else None,
        spoken=words.spoken_speedup(x),
    )


# ---- latencies ---------------------------------------------------------------------------------


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
    return Latencies(
        words.timing(x), ridges, ticks, _grid(ticks), beyond, words.spoken_latencies(x)
    )


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


# ---- differences -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """The differences of one output on a logarithmic scale.

    Attributes:
        name: the output.
        at: the place of the largest difference, at the start of the scale for none at all.
        mean: the place of the mean difference; None where it is not known or 0.
        tolerance: the place of what is allowed; None where it is not known.
        exceeds: whether the largest difference is larger than that.
        exact: whether there is no difference.
        text: the largest difference.
        spoken: the same as a sentence.
    """

    name: str
    at: float
    mean: float | None
    tolerance: float | None
    exceeds: bool
    exact: bool
    text: str
    spoken: str


@dataclass(frozen=True)
class Differences:
    """The differences of the outputs on one scale, and how many more there are."""

    rows: tuple[Difference, ...]
    ticks: tuple[Tick, ...]
    grid: str
    left_out: int


def differences(equivalence: EquivalencePart) -> Differences | None:
    """The outputs whose difference is known; None if there are none."""
    known = {name: x for name, x in equivalence.outputs.items() if x.error is not None}
    if not known:
        return None
    values = [
        value
        for x in known.values()
        for value in (x.error, x.mean_error, x.tolerance)
        if value is not None
    ]
    scale = decades(values)
    worst = sorted(known.items(), key=lambda item: -(item[1].error or 0.0))[:MOST_OUTPUTS]
    shown = {name for name, _ in worst}
    rows = []
    for name, x in known.items():
        if name not in shown or x.error is None:
            continue
        rows.append(
            Difference(
                name=name,
                at=scale.at(x.error),
                mean=scale.at(x.mean_error) if x.mean_error else None,
                tolerance=scale.at(x.tolerance) if x.tolerance else None,
                exceeds=x.tolerance is not None and x.error > x.tolerance,
                exact=x.error == 0,
                text=words.scientific(x.error),
                spoken=words.spoken_difference(name, x),
            )
        )
    ticks = tuple(Tick(scale.at(t), words.power(t)) for t in scale.ticks())
    return Differences(tuple(rows), ticks, _grid(ticks), len(known) - len(rows))


# ---- histories ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """How one figure changed from run to run, in a box of 100 by 100.

    Attributes:
        title: the figure.
        way: an SVG path from run to run, the oldest first.
        dots: an SVG path of points, one for each run.
        whiskers: an SVG path of the intervals; empty where there are none.
        now: the place of the last run, in percent from the left and from the top.
        limit: the place of a limit, such as the tolerance; None without one.
        first: the figure in the first of these runs, as text.
        last: the figure in the last one.
        spoken: the same as a sentence.
    """

    title: str
    way: str
    dots: str
    whiskers: str
    now: tuple[float, float]
    limit: float | None
    first: str
    last: str
    spoken: str


Value = tuple[float, float | None, float | None]
"""A figure with the ends of its interval."""


def line(
    title: str, values: Sequence[Value | None], texts: Sequence[str], limit: float | None = None
) -> Line | None:
    """The line of a figure; None where fewer than two runs have it, or it is the same in all.

    Args:
        title: the figure.
        values: the figure of each run, the oldest first; None where a run does not have it.
        texts: the same as texts.
        limit: a limit of the figure, for which the scale is logarithmic.
    """
    found = [(i, value) for i, value in enumerate(values) if value is not None]
    if len(found) < 2 or len({value for _, value in found}) == 1:
        return None
    flat = [x for _, value in found for x in value if x is not None]
    scale = linear(flat, room=0.15) if limit is None else decades([*flat, limit])
    width = 100 - 2 * MARGIN

    def height(value: float) -> float:
        return round(100 - scale.at(value), 1)

    places, whiskers = [], ""
    for i, (value, low, high) in found:
        x = round(MARGIN + width * i / (len(values) - 1), 1)
        places.append((x, height(value)))
        if low is not None and high is not None:
            whiskers += f"M{x:g} {height(low):g}V{height(high):g}"
    texts_of = [f"{x:g} {y:g}" for x, y in places]
    first, last = texts[found[0][0]], texts[found[-1][0]]
    return Line(
        title=title,
        way=f"M{'L'.join(texts_of)}",
        dots="".join(f"M{text}h0" for text in texts_of),
        whiskers=whiskers,
        now=places[-1],
        limit=None if limit is None else height(limit),
        first=first,
        last=last,
        spoken=f"{title}: {first} in the first of {len(found)} runs, {last} in the last",
    )
