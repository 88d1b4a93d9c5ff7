"""How a figure changed from run to run, drawn as a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kito.reports.html.scale import MARGIN, decades, linear


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
