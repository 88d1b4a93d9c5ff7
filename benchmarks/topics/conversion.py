"""How long ``kito.reduce`` takes and how much memory, beside copying the same model.

3 s to 90 s a cell, 8 minutes in all on two cores. The memory is measured on Linux only.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import memory, networks
from benchmarks.plots import fit, loglog
from benchmarks.rounds import quick, ratio
from benchmarks.topic import Rows, markdown, measured

TITLE = "Conversion: time and memory"
ABOUT = """\
`kito.reduce(model)` beside `keras.models.clone_model` + `set_weights`, the least that Keras needs
to copy a model, in alternating order in one process; times and ratios are medians of five rounds.
`chain-30x16` is 30 blocks of Conv2D, BatchNormalization and ReLU with 16 channels. The peak of
memory is the growth of the resident set during `reduce`, in units of the weights' size: 1 is what
the reduced model itself takes. Of networks with little weights, and of the chains of 16 channels,
it says little: objects of Python and TensorFlow outweigh the weights."""
LONG = tuple(f"chain-{blocks}x16" for blocks in (15, 30, 60, 120, 240))
"""Keras itself builds no functional model of a thousand layers, one after the other."""
WIDE = tuple(f"chain-30x{channels}" for channels in (16, 64, 256, 512))
ROUNDS = 5


def cells() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*networks.KITO, *LONG, *WIDE)))


def measure(cell: str) -> dict[str, Any]:
    import kito

    for function in (kito.reduce, _clone):
        _seconds(function, _chain(1, 16))  # the first call of each pays for imports
    model = _build(cell)
    grown = _growth(model) if sys.platform == "linux" else None
    reduce_s: list[float] = []
    clone_s: list[float] = []
    runs = [(reduce_s, kito.reduce), (clone_s, _clone)]
    for index in range(1 if quick() else ROUNDS):
        for times, function in runs if index % 2 == 0 else reversed(runs):
            times.append(_seconds(function, model))
    return {
        "layers": len(model.layers),
        "parameters": model.count_params(),
        "reduce_s": float(np.median(reduce_s)),
        "clone_s": float(np.median(clone_s)),
        "ratio": ratio(np.array(reduce_s), np.array(clone_s)),
        "growth": grown,
    }


def table(rows: Rows) -> str:
    good = measured(rows)
    lines = [
        [
            cell,
            f"{row['layers']}",
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['reduce_s']:.2f}",
            f"{row['clone_s']:.2f}",
            f"{row['ratio']['median']:.2f}",
            "-" if row["growth"] is None else f"{row['growth']:.2f}",
        ]
        for cell, row in good.items()
    ]
    header = (
        "network | layers: | parameters, million: | reduce, s: | clone + set_weights, s: | ratio: "
        "| peak memory / weights:"
    )
    return f"{markdown(header, lines)}\n\n{_growths(good)}".rstrip()


def plot(rows: Rows) -> Any:
    from matplotlib.figure import Figure

    good = measured(rows)
    figure = Figure(figsize=(9, 4))
    for axes, what, every in zip(
        figure.subplots(1, 2), ("layers", "parameters"), (LONG, WIDE), strict=True
    ):
        chains = tuple(x for x in every if x in good)
        for name, label in (("reduce_s", "reduce"), ("clone_s", "clone + set_weights")):
            points, others = _points(good, chains, what, name), _points(good, None, what, name)
            loglog(axes, points, label, others)
        axes.set_xlabel(what)
        axes.set_ylabel("seconds")
        axes.legend(title=f"slope over {len(chains)} chains")
    return figure


def _growths(rows: Rows) -> str:
    """How both times grow: the slopes of log(seconds) over log(layers) and log(parameters)."""
    sentences = []
    for what, every in (("layers", LONG), ("parameters", WIDE)):
        chains = tuple(x for x in every if x in rows)
        points = {name: _points(rows, chains, what, name) for name in ("reduce_s", "clone_s")}
        if len(chains) > 1:
            ours, keras = (fit(x)[0] for x in points.values())
            sentences.append(
                f"Over the chains from {chains[0]} to {chains[-1]}, the time of `reduce` grows as "
                f"{what} to the power of {ours:.2f}, that of the copy to the power of {keras:.2f}."
            )
    return "\n".join(sentences)


def _points(
    rows: Rows, chains: tuple[str, ...] | None, what: str, seconds: str
) -> list[tuple[float, float]]:
    """(layers or parameters, seconds) of these chains, or of all that are no chain."""
    chosen = tuple(x for x in rows if not x.startswith("chain-")) if chains is None else chains
    return [(rows[x][what], rows[x][seconds]) for x in chosen]


def _build(cell: str) -> Any:
    if cell.startswith("chain-"):
        blocks, channels = cell.removeprefix("chain-").split("x")
        return _chain(int(blocks), int(channels))
    return networks.build(cell)


def _chain(blocks: int, channels: int) -> Any:
    """``blocks`` times convolution, normalization and ReLU, one after the other."""
    import keras

    image = keras.Input((32, 32, channels))
    x = image
    for _ in range(blocks):
        x = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(image, x)


def _clone(model: Any) -> Any:
    """The copy that Keras itself makes."""
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _seconds(function: Callable[[Any], Any], model: Any) -> float:
    """The time of one call; what it returns is freed afterwards, outside the measurement."""
    gc.collect()
    start = time.perf_counter()
    result = function(model)
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def _growth(model: Any) -> float:
    """The peak of resident memory during ``reduce``, less that before, over the weights' size."""
    import kito

    size = sum(weight.numpy().nbytes for weight in model.weights)
    gc.collect()
    # Without this, the peak could hide in memory that building the model left free in the heap.
    ctypes.CDLL(None).malloc_trim(0)
    before = memory.start()
    reduction = kito.reduce(model)
    peak = memory.peak()
    del reduction
    return float((peak - before) / size)
