"""Plots as SVG: the same bytes for the same results, readable on light and dark pages.

The background is transparent, text and axes are of a grey that both backgrounds let one read, and
so are the colours. Text stays text. The digest of what a plot was drawn from is in its metadata, so
that ``--check`` needs no plotting library, and no certain version of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.topic import Rows

GREY = "#848d97"
COLORS = ("#2f81f7", "#d29922", "#3fb950", "#f85149", "#a371f7", GREY)
STYLE: dict[str, Any] = {
    "svg.hashsalt": "pytest-kito",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "figure.constrained_layout.use": True,
    "legend.framealpha": 0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(
        (
            "text.color",
            "axes.labelcolor",
            "axes.edgecolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
            "legend.labelcolor",
        ),
        GREY,
    ),
}

Points = Sequence[tuple[float, float]]


def svg(topic: ModuleType, rows: Rows) -> str:
    """The topic's plot of these rows.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib
    from cycler import cycler

    text = io.StringIO()
    style: Any = {**STYLE, "axes.prop_cycle": cycler(color=COLORS)}
    with matplotlib.rc_context(style):
        figure = topic.plot(rows)
        metadata = {"Date": None, "Creator": None, "Description": _mark(rows)}
        figure.savefig(text, format="svg", metadata=metadata)
    return text.getvalue()


def is_of(text: str, rows: Rows) -> bool:
    """Whether an SVG file was drawn from these rows."""
    return _mark(rows) in re.findall(r"<dc:description>(.+?)</dc:description>", text)


def _mark(rows: Rows) -> str:
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    return f"drawn by python -m benchmarks pages, sha256 of the results: {digest}"


def fit(points: Points) -> tuple[float, float]:
    """Slope and offset of the line through the logarithms, by least squares; two points or more."""
    x, y = np.log(np.array(points, dtype=float)).T
    slope, offset = np.polyfit(x, y, 1)
    return float(slope), float(offset)


def loglog(axes: Any, points: Points, label: str, others: Points = ()) -> None:
    """Points on logarithmic axes with their fitted line, whose slope is in the legend.

    Args:
        axes: of matplotlib.
        points: what the line is fitted to.
        label: of the line.
        others: points of the same colour that the line is not fitted to.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    (drawn,) = axes.plot(*_columns(points), "o", label=label if len(points) < 2 else None)
    color = drawn.get_color()
    axes.plot(*_columns(others), "x", color=color)
    if len(points) > 1:
        slope, offset = fit(points)
        x = np.array(sorted(x for x, _ in points), dtype=float)
        axes.plot(x, np.exp(offset) * x**slope, color=color, label=f"{label}: {slope:.2f}")


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
