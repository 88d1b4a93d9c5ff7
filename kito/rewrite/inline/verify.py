"""Check on random inputs that the calls inside a layer compute what the layer computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kito.errors import describe
from kito.graph.interpret import Interpreter
from kito.graph.ir import Graph, Node, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.preserve import preserved
from kito.graph.stock import is_stock

_BATCH = 2
_OPEN_SIZES = (32, 64, 16)
"""Sizes to try for an axis of unknown size."""
_RTOL = 1e-5


Samples = dict[Node, tuple[list[Any], list[Any]]]
"""By call, the tensors that it was run on, and the tensors that it returned."""


def check_same_outputs(node: Node, inside: Graph, samples: Samples) -> str | None:
    """Run a call as a whole, then the calls inside it; returns what differs, or None.

    No layer is run as a whole more than once: running the inside of a layer also runs the layers in
    it, and what those returned is recorded in ``samples``.

    Args:
        node: a call of a layer that contains layers.
        inside: what the layer computes; the ops in it call the layer's own layers.
        samples: of the calls that were run before. The entry of ``node`` is used and removed;
            those of the calls in ``inside`` are added.
    """
    layer = node.op.layer
    given, returned = samples.pop(node, ([], []))
    if given and len(given) == len(inside.inputs):
        return _compare(inside, given, returned, samples)
    rng = np.random.default_rng(0)
    problem = ""
    for size in _OPEN_SIZES:
        arrays = {x: _draw(x, size, rng) for x in dict.fromkeys(node.inputs)}
        if any(x is None for x in arrays.values()):
            return f"no random inputs of dtype {[x.dtype for x in arrays]} can show what it does"
        values = {x: keras.ops.convert_to_tensor(array) for x, array in arrays.items()}
        try:
            with preserved([layer, *all_layers(layer)]):
                returned = Interpreter(node.graph).run_node(node, values)
        except Exception as error:  # whatever a layer or the backend may raise
            problem = f"it cannot be run on random inputs: {describe(error)}"
            continue
        return _compare(inside, list(values.values()), returned, samples)
    return problem


def _compare(inside: Graph, given: list[Any], expected: list[Any], samples: Samples) -> str | None:
    try:
        actual = _Recorder(inside, samples).run(given)
    except Exception as error:  # whatever a layer or the backend may raise
        return f"its inside cannot be run by itself: {describe(error)}"
    return _difference(expected, actual)


class _Recorder(Interpreter):
    """Records what custom layers take and return."""

    def __init__(self, graph: Graph, samples: Samples) -> None:
        super().__init__(graph, enter_models=False)
        self.samples = samples

    def run_node(self, node: Node, values: Mapping[Tensor, Any]) -> list[Any]:
        results = super().run_node(node, values)
        if not is_stock(type(node.op.layer)):
            given = [values[x] for x in dict.fromkeys(node.inputs)]
            self.samples[node] = (given, results)
        return results


def _draw(tensor: Tensor, size: int, rng: np.random.Generator) -> np.ndarray | None:
    """Random values for ``tensor``, with ``size`` for unknown sizes; None for other dtypes."""
    shape = tuple(size if n is None else n for n in tensor.shape[1:])
    first = tensor.shape[:1]
    shape = (*(_BATCH if n is None else n for n in first), *shape)
    if "float" in tensor.dtype:
        values = rng.normal(0, 1, shape)
        return values.astype("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    if "int" in tensor.dtype or tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(tensor.dtype)
    return None


def _difference(expected: list[Any], actual: list[Any]) -> str | None:
    for a, b in zip(expected, actual, strict=True):
        if tuple(a.shape) != tuple(b.shape):
            return f"its inside returns the shape {tuple(b.shape)}, not {tuple(a.shape)}"
        x, y = (np.asarray(keras.ops.convert_to_numpy(v)).astype(np.float64) for v in (a, b))
        scale = float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
        if not np.allclose(y, x, rtol=0, atol=_RTOL * scale, equal_nan=True):
            return "its inside gives other outputs than the layer itself"
    return None
