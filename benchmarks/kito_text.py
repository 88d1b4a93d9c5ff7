"""What is shown of KITO's table: the whole table, a short one for the README, and a plot."""

from __future__ import annotations

from math import exp, log
from typing import Any

from benchmarks import published
from benchmarks.plots import GREY
from benchmarks.topic import Row, Rows, markdown, measured

FORMS = ("fold", "ours", "frozen", "bare")
"""What is timed beside the original, in the order of the columns."""


def table(rows: Rows) -> str:
    good = measured(rows)
    if not good:
        return "Nothing is measured yet."
    failed = [f"{cell}: not measured, {rows[cell]['error']}." for cell in rows if cell not in good]
    return "\n\n".join(
        [
            markdown(
                "network | layers, original / fold / kito: | *published*: "
                "| parameters, original / fold / kito: | *published*:",
                [_size(cell, row) for cell, row in good.items()],
            ),
            markdown(
                f"{published.IMAGES:,} images, s | original: | fold: | kito: | frozen: "
                "| without BN: | kito / fold: | *published, s*: | *published*:",
                [_speed(cell, row) for cell, row in good.items()],
            ),
            _means(good),
            markdown(
                "network | conversion, s: | of Keras' copy: | *published, s*: "
                "| final layer, max / mean: | *published*: | before softmax, max / mean, relative:",
                [_faithful(cell, row) for cell, row in good.items()],
            ),
            *failed,
        ]
    )


def readme(rows: Rows) -> str:
    """The table in short: what a reduction gives, and what KITO published."""
    good = measured(rows)
    if not good:
        return "Nothing is measured yet."
    lines = []
    for cell, row in good.items():
        known = published.KITO.get(cell)
        lines.append(
            [
                cell,
                f"{row['layers']['original']} → {row['layers']['ours']}",
                f"{_seconds(row, 'original')} → {_seconds(row, 'ours')}",
                f"**{row['speedup']['ours']['median']:.2f}x**",
                f"{row['speedup']['fold']['median']:.2f}x",
                f"*{known.seconds[0] / known.seconds[1]:.2f}x*" if known else "-",
                f"{row['conversion']['ours_s']:.2f}",
                f"*{known.conversion_s:.0f}*" if known else "-",
            ]
        )
    header = (
        f"network | layers: | {published.IMAGES:,} images, s: | kito: | KITO's fold: "
        "| *published by KITO*: | conversion, s: | *published by KITO*:"
    )
    return f"{markdown(header, lines)}\n\n{_means(good)}"


def plot(rows: Rows) -> Any:
    """Speed-ups by network: KITO's fold, ours, and what KITO published."""
    from matplotlib.figure import Figure

    good = measured(rows)
    names = list(good)[::-1]
    figure = Figure(figsize=(8, 0.3 * len(names) + 1.4))
    axes = figure.add_subplot()
    for form, label in (("ours", "kito"), ("fold", "KITO's fold")):
        values = [good[name]["speedup"][form] for name in names]
        middle = [x["median"] for x in values]
        errors = [
            [m - x["low"] for m, x in zip(middle, values, strict=True)],
            [x["high"] - m for m, x in zip(middle, values, strict=True)],
        ]
        axes.errorbar(middle, names, xerr=errors, fmt="o", label=label)
    known = {name: published.KITO[name].seconds for name in names if name in published.KITO}
    ratios = [before / after for before, after in known.values()]
    hollow: dict[str, Any] = {
        "fillstyle": "none",
        "label": "published by KITO: GTX 1080, TensorFlow 1.4",
    }
    axes.plot(ratios, list(known), "D", color=GREY, **hollow)
    axes.axvline(1, color=GREY)
    axes.set_xlabel("times as fast as the original, batch 8")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _size(cell: str, row: Row) -> list[str]:
    known = published.KITO.get(cell)
    layers, parameters = row["layers"], row["parameters"]
    forms = ("original", "fold", "ours")
    return [
        f"{cell} {row['image'][0]}",
        " / ".join(str(layers[x]) for x in forms),
        "*{} → {}*".format(*known.layers) if known else "-",
        " / ".join(f"{parameters[x]:,}" for x in forms),
        "*{:,} → {:,}*".format(*known.parameters) if known else "-",
    ]


def _speed(cell: str, row: Row) -> list[str]:
    known = published.KITO.get(cell)
    speedup, gain = row["speedup"], row["gain"]
    return [
        cell,
        _seconds(row, "original"),
        *(f"{_seconds(row, form)} ({speedup[form]['median']:.2f}x)" for form in FORMS),
        f"{gain['median']:.3f} [{gain['low']:.3f}, {gain['high']:.3f}]",
        "*{:.0f} → {:.0f}*".format(*known.seconds) if known else "-",
        f"*{known.seconds[0] / known.seconds[1]:.2f}x*" if known else "-",
    ]


def _faithful(cell: str, row: Row) -> list[str]:
    known = published.KITO.get(cell)
    conversion, difference = row["conversion"], row["difference"]["ours"]
    final, before = difference["final"], difference["before"]
    scale = before["scale"]
    return [
        cell,
        f"{conversion['ours_s']:.2f}",
        f"{conversion['ratio_to_clone']:.2f}",
        f"*{known.conversion_s:.0f}*" if known else "-",
        f"{final['max']:.1e} / {final['mean']:.1e}",
        f"*{known.max_difference:.1e} / {known.mean_difference:.1e}*" if known else "-",
        f"{before['max'] / scale:.1e} / {before['mean'] / scale:.1e}",
    ]


def _seconds(row: Row, form: str) -> str:
    """Seconds for as many images as KITO took."""
    return f"{row['ms'][form] / 1e3 / row['batch'] * published.IMAGES:.0f}"


def _means(rows: Rows) -> str:
    known = [published.KITO[cell].seconds for cell in rows if cell in published.KITO]
    theirs = f", KITO published *{_mean([a / b for a, b in known]):.2f}x*" if known else ""
    ours, fold, gain = (
        _mean([x["median"] for x in values])
        for values in (
            [row["speedup"]["ours"] for row in rows.values()],
            [row["speedup"]["fold"] for row in rows.values()],
            [row["gain"] for row in rows.values()],
        )
    )
    return (
        f"Geometric means: kito {ours:.2f}x over the original, KITO's fold {fold:.2f}x, kito over "
        f"KITO's fold {gain:.2f}x{theirs}."
    )


def _mean(ratios: list[float]) -> float:
    return exp(sum(map(log, ratios)) / len(ratios))
