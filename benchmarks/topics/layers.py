"""How fast stock layers are beside other stock layers that compute the same.

What the pass ``choose_kernels`` takes comes from this table. Each row is a small model and its
equal (:mod:`benchmarks.layer_cases`), both built by hand, so that replacements which the pass does
not make are measured too. Outputs are compared before anything is timed. The device is a
GPU where the backend has one.

A minute a cell, 6 minutes for each backend on two cores; ``--only torch`` measures one of them.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.rounds import milliseconds, ratio, take_rounds, times
from benchmarks.topic import Rows, markdown, measured

if TYPE_CHECKING:
    from benchmarks.layer_case import Case

TITLE = "Layers and their equals"
ABOUT = """\
Stock layers beside other stock layers that compute the same: the replacements that the pass
`choose_kernels` makes, and those that it does not make. Batch 8."""
BATCH = 8
BUDGET_S = 8.0


GROUPS = ("depthwise", "normalization", "groups apart", "groups with zeros", "resizing", "others")
BACKENDS = ("tensorflow", "jax", "torch")


def cells() -> tuple[str, ...]:
    return tuple(f"{group}/{backend}" for backend in BACKENDS for group in GROUPS)


def measure(cell: str) -> dict[str, Any]:
    group, backend = cell.split("/")
    os.environ["KERAS_BACKEND"] = backend  # before Keras is imported

    from benchmarks import layer_cases

    rows = [_measure(case) for case in layer_cases.GROUPS[group]()]
    return {"backend": backend, "rows": rows}


def table(rows: Rows) -> str:
    lines = [
        [
            row["name"],
            f"{group['backend']}, {row['device']}",
            f"{row['original_ms']:.2f}",
            times(row["ratio"]),
            row["taken"],
        ]
        for group in measured(rows).values()
        for row in group["rows"]
    ]
    return markdown("layers -> equal, size | backend, device | ms: | faster by: | taken", lines)


def _measure(case: Case) -> dict[str, Any]:
    from kito.runtime.backends.select import current

    rng = np.random.default_rng(0)
    for variable in case.original.weights:
        fan_in = max(math.prod(variable.shape[:-1]), 1)
        variable.assign(rng.normal(0, 1 / math.sqrt(fan_in), variable.shape))
    _neutral(case)
    case.equal.set_weights(case.convert(case.original.get_weights()))
    data = rng.normal(size=(BATCH, *case.original.input_shape[1:])).astype("float32")
    expected, actual = (np.asarray(x.predict_on_batch(data)) for x in (case.original, case.equal))
    if not np.abs(expected - actual).max() <= 1e-5 * np.abs(expected).max():
        raise ValueError(f"{case.name}: the outputs differ")
    backend = current()
    kind = "gpu" if backend.gpu_names() else "cpu"
    seconds = take_rounds(
        {
            name: backend.compiled_call(model, data, kind)
            for name, model in (("original", case.original), ("equal", case.equal))
        },
        rounds=1000,
        budget_s=BUDGET_S,
    )
    return {
        "name": case.name,
        "device": kind,
        "rounds": len(seconds["original"]),
        "original_ms": milliseconds(seconds["original"]),
        "ratio": ratio(seconds["original"], seconds["equal"]),
        "taken": case.taken or _taken(case.original),
    }


def _neutral(case: Case) -> None:
    """Set gamma to 1 and beta to 0 where the original has them and its equal does not."""
    from keras.layers import LayerNormalization

    last = case.original.layers[-1]
    if isinstance(last, LayerNormalization):
        equal = case.equal.layers[-1]
        last.gamma.assign(last.gamma if equal.scale else np.ones(last.gamma.shape))
        last.beta.assign(last.beta if equal.center else np.zeros(last.beta.shape))


def _taken(model: Any) -> str:
    """For which targets ``choose_kernels`` takes it."""
    import kito

    for target, answer in (("any", "yes"), ("cpu", "for cpu"), ("gpu", "for gpu")):
        if kito.reduce(model, passes=("choose_kernels",), target=target).rewrites:
            return answer
    return "no"
