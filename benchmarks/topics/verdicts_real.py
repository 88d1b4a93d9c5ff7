"""How often a verdict is wrong on this machine.

A model is timed against its own copy, which must never pass a minimum of 1.1, and against one of
half its layers, which must always pass 1.3. Two minutes in all on two cores.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.rounds import quick
from benchmarks.topic import Rows, markdown, measured

TITLE = "Verdicts on this machine"
ABOUT = """\
A network of eight convolutions against its own copy, and against a network of four: the verdicts
of 20 runs each."""
MINIMUM = {"its own copy": 1.1, "half the layers": 1.3}
RUNS = 20


def cells() -> tuple[str, ...]:
    return tuple(MINIMUM)


def measure(cell: str) -> dict[str, Any]:
    from kito.equivalence.float64 import copy_model
    from kito.timing.speedup import measure_speedup

    whole = _network(8)
    other = copy_model(whole) if cell == "its own copy" else _network(4)
    verdicts, ratios = Counter[str](), []
    for seed in range(2 if quick() else RUNS):
        estimate = measure_speedup(
            whole, other, batch_size=8, minimum=MINIMUM[cell], budget_s=20, seed=seed
        )
        verdicts[str(estimate.verdict)] += 1
        ratios.append(estimate.ratio)
    counts = {name: verdicts[name] for name in ("pass", "fail", "inconclusive")}
    return {**counts, "least": min(ratios), "most": max(ratios)}


def table(rows: Rows) -> str:
    lines = [
        [
            cell,
            f"{MINIMUM[cell]}",
            *(str(row[name]) for name in ("pass", "fail", "inconclusive")),
            f"{row['least']:.3f} to {row['most']:.3f}",
        ]
        for cell, row in measured(rows).items()
    ]
    return markdown("against | minimum: | pass: | fail: | inconclusive: | ratios", lines)


def _network(blocks: int) -> Any:
    import keras

    x = image = keras.Input((64, 64, 16))
    for _ in range(blocks):
        x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    return keras.Model(image, x)
