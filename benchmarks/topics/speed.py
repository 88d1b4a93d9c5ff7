"""How fast inference is: the original, KITO's fold, ours, and without BatchNormalization.

About 12 s to 60 s a cell, 20 minutes in all on two cores.
"""

from __future__ import annotations

from math import exp, log
from typing import Any

from benchmarks import networks
from benchmarks.rounds import milliseconds, ratio, take_rounds
from benchmarks.topic import Rows, markdown, measured

TITLE = "Speed in TensorFlow"
ABOUT = """\
One compiled call (`tf.function`) of each form: the original, KITO's fold
(`passes=("fold_batchnorm",)`, what KITO itself does, on Keras 3), what `kito.reduce` makes, and the
network with every BatchNormalization deleted. The last computes something else. It may look like
the limit, but is not: it lacks the biases that a fold leaves, and keeps the paddings that
`kito.reduce` absorbs. Ratios are times of the original over times of the form: above 1 is
faster."""
BATCHES = (8, 1)


def cells() -> tuple[str, ...]:
    return tuple(f"{network}/{batch}" for batch in BATCHES for network in networks.TIMED)


def measure(cell: str) -> dict[str, Any]:
    import kito
    from kito.runtime.backends.select import current
    from kito.runtime.batch import call_arguments

    network, batch = cell.split("/")
    model = networks.build_random(network)
    forms = {
        "original": model,
        "fold": kito.reduce(model, passes=("fold_batchnorm",)).model,
        "ours": kito.reduce(model).model,
        "bare": networks.without_normalizations(model),
    }
    inputs = networks.images(model, int(batch))
    backend = current()
    seconds = take_rounds(
        {
            name: backend.compiled_call(form, call_arguments(form, inputs), "cpu")
            for name, form in forms.items()
        }
    )
    original = seconds["original"]
    return {
        "rounds": len(original),
        "original_ms": milliseconds(original),
        **{name: ratio(original, seconds[name]) for name in ("fold", "ours", "bare")},
        "gain": ratio(seconds["fold"], seconds["ours"]),
    }


def table(rows: Rows) -> str:
    lines, good = [], measured(rows)
    for cell, row in good.items():
        gain = row["gain"]
        lines.append(
            [
                *cell.split("/"),
                f"{row['original_ms']:.1f}",
                *(f"{row[form]['median']:.2f}x" for form in ("fold", "ours", "bare")),
                f"{gain['median']:.3f} [{gain['low']:.3f}, {gain['high']:.3f}]",
            ]
        )
    if not lines:
        return "Nothing is measured yet."
    means = [
        f"batch {batch} {_mean(good, batch, 'ours'):.2f}x over the original and "
        f"{_mean(good, batch, 'gain'):.2f}x over KITO's fold"
        for batch in BATCHES
        if any(cell.endswith(f"/{batch}") for cell in good)
    ]
    header = (
        "network | batch: | original, ms: | KITO's fold: | kito: | without BatchNormalization: "
        "| kito / KITO's fold:"
    )
    return f"{markdown(header, lines)}\n\nGeometric means: {'; '.join(means)}."


def _mean(rows: Rows, batch: int, what: str) -> float:
    """The geometric mean of a ratio over the networks with this batch size."""
    logs = [log(row[what]["median"]) for cell, row in rows.items() if cell.endswith(f"/{batch}")]
    return exp(sum(logs) / len(logs))
