"""What the plots of the HTML report show, as places in percent; a template draws them as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_kito.reports.html import words
from pytest_kito.reports.html.scale import Scale, decades, ratios
from pytest_kito.reports.read import EquivalencePart, SpeedupPart

MOST_OUTPUTS = 24
"""Outputs that are drawn: those with the largest differences. The table has all of them."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in percent, and its text."""

    at: float
    text: str


def grid(ticks: Iterable[Tick]) -> str:
    """The lines of ticks, as an SVG path in a box of 100 by 1."""
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
    return Intervals(rows, ticks, scale.at(1.0), grid(ticks))


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
    return Differences(tuple(rows), ticks, grid(ticks), len(known) - len(rows))
