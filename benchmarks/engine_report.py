"""The tables and the plot of the topic ``engines``, from its stored rows."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

from benchmarks import networks
from benchmarks.plots import COLORS, GREY
from benchmarks.rounds import Ratio
from benchmarks.topic import Row, Rows, markdown, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = (*networks.TIMED, "RepVGG", "RegNetX002")
ENGINES = {
    "tensorflow": "TensorFlow",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
}
"""Their titles by the name of the format; TensorFlow runs the Keras model itself."""
BATCHES = (1, 8)
_TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5)


def table(rows: Rows) -> str:
    good = measured(rows)
    if not good:
        return "Nothing is measured yet."
    parts = [
        "Ours against the original, batch 1 / 8:",
        _ratios(good, "ours"),
        "KITO's passes against the original, batch 1 / 8:",
        _ratios(good, "fold"),
        _lowest(good),
        *_remarks(rows),
    ]
    return "\n\n".join(part for part in parts if part)


def readme(rows: Rows) -> str:
    """The first of the tables, for the README."""
    good = measured(rows)
    return _ratios(good, "ours") if good else "Nothing is measured yet."


def _ratios(rows: Rows, form: str) -> str:
    lines = [
        [network, *(_pair(rows.get(f"{network}/{engine}"), form) for engine in ENGINES)]
        for network in NETWORKS
        if any(f"{network}/{engine}" in rows for engine in ENGINES)
    ]
    means = [_pair_text([_mean(rows, engine, x, form) for x in BATCHES]) for engine in ENGINES]
    lines.append(["**geometric mean**", *(f"**{x}**" if x != "-" else x for x in means)])
    return markdown(" | ".join(["network", *(f"{x}:" for x in ENGINES.values())]), lines)


def _pair(row: Row | None, form: str) -> str:
    """The ratios of both batch sizes; without an original the milliseconds of the form."""
    if row is None:
        return "-"
    figures = [row["batches"][str(batch)] for batch in BATCHES]
    if all(form in x for x in figures):
        return _pair_text([x[form]["median"] for x in figures])
    if all(form in x["ms"] for x in figures):
        return " / ".join(f"{x['ms'][form]:.1f}" for x in figures) + " ms"
    return "-"


def _pair_text(values: list[float | None]) -> str:
    return " / ".join("-" if x is None else f"{x:.2f}" for x in values) if any(values) else "-"


def _values(rows: Rows, engine: str, batch: int, form: str) -> dict[str, Ratio]:
    """A ratio by network."""
    figures = {
        network: rows[f"{network}/{engine}"]["batches"][str(batch)]
        for network in NETWORKS
        if f"{network}/{engine}" in rows
    }
    return {network: x[form] for network, x in figures.items() if form in x}


def _mean(rows: Rows, engine: str, batch: int, form: str) -> float | None:
    """The geometric mean over the networks; None where there are none."""
    logs = [log(x["median"]) for x in _values(rows, engine, batch, form).values()]
    return exp(sum(logs) / len(logs)) if logs else None


def _lowest(rows: Rows) -> str:
    """The network that gains least in each engine, by the upper end of its interval."""
    texts = []
    for engine, title in ENGINES.items():
        ends = [
            (value["high"], network, batch)
            for batch in BATCHES
            for network, value in _values(rows, engine, batch, "ours").items()
        ]
        if ends:
            high, network, batch = min(ends)
            texts.append(f"{title} {high:.3f} ({network}, batch {batch})")
    if not texts:
        return ""
    return f"The lowest upper end of an interval of kito against the original: {', '.join(texts)}."


def _remarks(rows: Rows) -> list[str]:
    """What could not be measured, and why."""
    lines = []
    for cell, row in rows.items():
        network, engine = cell.split("/")
        reasons = {"all": row["error"]} if "error" in row else row["missing"]
        names = {"original": "the original", "fold": "KITO's passes", "all": "nothing measured"}
        lines += [
            f"- {network} in {ENGINES[engine]}, {names[form]}: {reason}"
            for form, reason in reasons.items()
        ]
    return (
        [
            "Not measured, and so in no mean (milliseconds instead, where there are some):",
            "\n".join(lines),
        ]
        if lines
        else []
    )


def plot(rows: Rows) -> Figure:
    """The ratio of each network in each engine, with its interval; batch 8 is hollow."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedLocator, NullLocator

    good = measured(rows)
    shown = [x for x in NETWORKS if any(f"{x}/{engine}" in good for engine in ENGINES)]
    colors = dict(zip(ENGINES, COLORS, strict=False))
    figure = Figure(figsize=(8, 1.2 + 0.42 * len(shown)))
    axes = figure.add_subplot()
    axes.axvline(1, color=GREY, linewidth=1)
    for row in range(0, len(shown), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=GREY, alpha=0.08, linewidth=0)
    for index, (engine, color) in enumerate(colors.items()):
        for batch, fill in zip(BATCHES, (color, "none"), strict=True):
            place = 0.2 * index - (0.35 if fill == color else 0.25)
            for network, value in _values(good, engine, batch, "ours").items():
                y = shown.index(network) + place
                axes.plot([value["low"], value["high"]], [y, y], color=color, linewidth=1)
                axes.plot(value["median"], y, "o", color=color, mfc=fill, ms=4)
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}x")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("times as fast as the original in the same engine")
    axes.grid(visible=False, axis="y")
    lines = [
        Line2D([], [], color=color, marker="o", ms=4, label=ENGINES[engine])
        for engine, color in colors.items()
    ]
    dots = [
        Line2D([], [], color=GREY, marker="o", ms=4, ls="", mfc=fill, label=f"batch {batch}")
        for batch, fill in zip(BATCHES, (GREY, "none"), strict=True)
    ]
    figure.legend(handles=[*lines, *dots], loc="outside upper center", ncols=6)
    return figure
