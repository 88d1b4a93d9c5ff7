"""KITO's own table, on today's stack: what a reduction changes, gains, takes and gets wrong.

A minute for the small networks, ten for the largest; an hour and a half in all on two cores.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import networks, published
from benchmarks.kito_text import FORMS, plot, readme, table
from benchmarks.rounds import milliseconds, quick, ratio, take_rounds

__all__ = ["ABOUT", "LIMIT_S", "TITLE", "cells", "measure", "plot", "readme", "table"]

TITLE = "KITO's table"
ABOUT = f"""\
The networks of the table that KITO publishes, and RetinaNet, with random weights and calibrated
statistics. **fold** is KITO's own rewrite on Keras 3, `kito.reduce(model,
passes=("fold_batchnorm",))`; **kito** is `kito.reduce(model)`; **frozen** is the original with its
variables made constants by TensorFlow (`convert_variables_to_constants_v2`); **without BN** is the
network with every BatchNormalization deleted, which computes something else.

All five run as one compiled call on a batch of 8 images, once in every round, in random order;
ratios are medians of the ratios within a round. The time for {published.IMAGES:,} images is
computed from the median of a batch. Conversion is the median of 5; its ratio is that to Keras' own
copy, `clone_model` and `set_weights`. Differences are those of the outputs of 8 images, largest and
mean, on the final layer, and before its softmax or sigmoid (where it has one) relative to the
largest value there. A softmax over 1000 classes makes every difference look small.

Columns in *italics* are published by KITO, another machine and time: an NVIDIA GTX 1080 with
TensorFlow 1.4 ([README of KITO 1.0.5]({published.SOURCE})). Compare their ratios, not their
seconds."""
LIMIT_S = 2400.0
BATCH = 8
CONVERSIONS = 5
QUICK_SIZE = 160
"""Side of the images with ``--quick``; every network here takes it."""


def cells() -> tuple[str, ...]:
    return (*networks.KITO, networks.RETINANET)


def measure(cell: str) -> dict[str, Any]:
    import kito
    from benchmarks.frozen import frozen_call
    from kito.runtime.backends.select import current
    from kito.runtime.batch import call_arguments

    model = networks.build_random(cell, QUICK_SIZE if quick() else None)
    fold, ours = kito.reduce(model, passes=("fold_batchnorm",)), kito.reduce(model)
    models = {"original": model, "fold": fold.model, "ours": ours.model}
    inputs = networks.images(model, BATCH)
    result = {
        "image": list(next(iter(inputs.values())).shape[1:]),
        "batch": BATCH,
        "layers": {"original": ours.layers[0], "fold": fold.layers[1], "ours": ours.layers[1]},
        "parameters": {name: x.count_params() for name, x in models.items()},
        "difference": _differences(models, inputs),
        "conversion": _conversion(model),
    }
    models["bare"] = networks.without_normalizations(model)
    calls: dict[str, Callable[[], object]] = {
        name: current().compiled_call(x, call_arguments(x, inputs), "cpu")
        for name, x in models.items()
    }
    calls["frozen"] = frozen_call(model, call_arguments(model, inputs))
    seconds = take_rounds(calls, budget_s=60)
    original = seconds["original"]
    return {
        **result,
        "rounds": len(original),
        "ms": {name: milliseconds(x) for name, x in seconds.items()},
        "speedup": {name: ratio(original, seconds[name]) for name in FORMS},
        "gain": ratio(seconds["fold"], seconds["ours"]),
    }


def _conversion(model: Any) -> dict[str, Any]:
    """Seconds of a reduction, of KITO's fold alone and of Keras' copy, in turns; medians."""
    import keras
    import numpy as np

    import kito

    def clone() -> Any:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return copy

    work: dict[str, Callable[[], Any]] = {
        "ours": lambda: kito.reduce(model),
        "fold": lambda: kito.reduce(model, passes=("fold_batchnorm",)),
        "clone": clone,
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    rng = np.random.default_rng(0)
    for _ in range(1 if quick() else CONVERSIONS):
        for name in rng.permutation(list(work)):
            gc.collect()
            start = time.perf_counter()
            made = work[name]()
            seconds[name].append(time.perf_counter() - start)
            del made  # freed outside the measurement
    pairs = zip(seconds["ours"], seconds["clone"], strict=True)
    return {
        **{f"{name}_s": statistics.median(x) for name, x in seconds.items()},
        "ratio_to_clone": statistics.median(ours / clone for ours, clone in pairs),
    }


def _differences(models: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """By form: largest and mean difference, and the largest output, of ``final`` and ``before``.

    ``before`` is before softmax or sigmoid, and the same as ``final`` where there is neither.
    """
    final = {name: _outputs(model, inputs) for name, model in models.items()}
    before = {}
    for name, model in models.items():
        with _unbounded(model):
            before[name] = _outputs(model, inputs)
    return {
        name: {
            "final": _difference(final["original"], final[name]),
            "before": _difference(before["original"], before[name]),
        }
        for name in ("fold", "ours")
    }


@contextlib.contextmanager
def _unbounded(model: Any) -> Iterator[None]:
    """Inside the ``with``, the model's outputs are those before softmax or sigmoid."""
    import keras

    bounds = (keras.activations.softmax, keras.activations.sigmoid)
    named = [x for x in model.layers if x.name in model.output_names]
    bounded = [x for x in named if getattr(x, "activation", None) in bounds]
    activations = [x.activation for x in bounded]
    for layer in bounded:
        layer.activation = keras.activations.linear
    try:
        yield
    finally:
        for layer, activation in zip(bounded, activations, strict=True):
            layer.activation = activation


def _outputs(model: Any, inputs: dict[str, Any]) -> list[Any]:
    import keras

    from kito.runtime.batch import call_arguments

    outputs = model(call_arguments(model, inputs), training=False)
    return [keras.ops.convert_to_numpy(x).astype("float64") for x in keras.tree.flatten(outputs)]


def _difference(right: list[Any], result: list[Any]) -> dict[str, float]:
    import numpy as np

    apart = np.concatenate([abs(a - b).ravel() for a, b in zip(right, result, strict=True)])
    return {
        "max": float(apart.max()),
        "mean": float(apart.mean()),
        "scale": max(float(abs(x).max()) for x in right),
    }
