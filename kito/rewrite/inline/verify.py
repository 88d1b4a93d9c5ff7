"""Whether the calls inside of a layer do what the layer does, seen on random inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import describe
from kito.graph.ir import Graph, Node, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.preserve import preserved
from kito.graph.stock import is_stock

_BATCH = 2
_OPEN = (32, 64, 16)
"""Sizes to try for an axis of open size."""
_RTOL = 1e-5


Samples = dict[Node, tuple[list[Any], list[Any]]]
"""By call, tensors that it was run on, and what it returned."""


def check_same_outputs(node: Node, inside: Graph, samples: Samples) -> str | None:
    """Run one call closed and open; what is wrong, in words, or None.

    No layer is run closed more than once: those in it are run as its inside is, and leave in
    ``samples`` what they returned.

    Args:
        node: a call of a layer that holds layers.
        inside: what the layer does; the ops in it call the layer's own layers.
        samples: of the calls that were run before.
    """
    layer = node.op.layer
    given, returned = samples.pop(node, ([], []))
    if given and len(given) == len(inside.inputs):
        return _compare(inside, given, returned, samples)
    rng = np.random.default_rng(0)
    problem = ""
    for size in _OPEN:
        arrays = {x: _draw(x, size, rng) for x in dict.fromkeys(node.inputs)}
        if any(x is None for x in arrays.values()):
            return f"no random inputs of dtype {[x.dtype for x in arrays]} can show what it does"
        values = {x: keras.ops.convert_to_tensor(array) for x, array in arrays.items()}
        try:
            with preserved([layer, *all_layers(layer)]):
                closed = _call(layer, node, values)
        except Exception as error:  # whatever a layer or the backend may raise
            problem = f"it cannot be run on random inputs: {describe(error)}"
            continue
        return _compare(inside, list(values.values()), tree.flatten(closed), samples)
    return problem


def _compare(inside: Graph, given: list[Any], returned: list[Any], samples: Samples) -> str | None:
    try:
        opened = _run(inside, given, samples)
    except Exception as error:  # whatever a layer or the backend may raise
        return f"its inside cannot be run by itself: {describe(error)}"
    return _differ(returned, opened)


def _draw(tensor: Tensor, size: int, rng: np.random.Generator) -> np.ndarray | None:
    shape = tuple(size if n is None else n for n in tensor.shape[1:])
    first = tensor.shape[:1]
    shape = (*(_BATCH if n is None else n for n in first), *shape)
    if "float" in tensor.dtype:
        values = rng.normal(0, 1, shape)
        return values.astype("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    if "int" in tensor.dtype or tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(tensor.dtype)
    return None


def _call(layer: Any, node: Node, values: dict[Tensor, Any]) -> Any:
    def switch(x: Any) -> Any:
        return values[x] if isinstance(x, Tensor) else x

    args, kwargs = tree.map_structure(switch, (node.args, node.kwargs))
    if isinstance(layer, keras.Layer):
        kwargs = {**kwargs, "training": False}
    return layer(*args, **kwargs)


def _run(graph: Graph, inputs: list[Any], samples: Samples) -> list[Any]:
    """The flat outputs of the calls of a graph, in inference."""
    values: dict[Tensor, Any] = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        if not node.is_input:
            results = tree.flatten(_call(node.op.layer, node, values))
            values.update(zip(node.outputs, results, strict=True))
            if not is_stock(type(node.op.layer)):
                given = [values[x] for x in dict.fromkeys(node.inputs)]
                samples[node] = (given, results)
    return [values[x] for x in tree.flatten(graph.outputs)]


def _differ(closed: list[Any], opened: list[Any]) -> str | None:
    for a, b in zip(closed, opened, strict=True):
        if tuple(a.shape) != tuple(b.shape):
            return f"its inside returns the shape {tuple(b.shape)}, not {tuple(a.shape)}"
        x, y = (np.asarray(keras.ops.convert_to_numpy(v)).astype(np.float64) for v in (a, b))
        scale = float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
        if not np.allclose(y, x, rtol=0, atol=_RTOL * scale, equal_nan=True):
            return "its inside gives other outputs than the layer itself"
    return None
