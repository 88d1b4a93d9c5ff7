"""Whether the calls inside of a layer do what the layer does, seen on random inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from kito.graph import all_layers
from kito.importing import describe
from kito.nodes import Graph, Node, Tensor
from kito.untouched import left_as_they_were

_BATCH = 2
_OPEN = (32, 64, 16)
"""Sizes to try for an axis of open size."""
_RTOL = 1e-5


def check_same_outputs(node: Node, inside: Graph) -> str | None:
    """Run one call closed and open, each once; what is wrong, in words, or None.

    Args:
        node: a call of a layer that holds layers.
        inside: what the layer does; the ops in it call the layer's own layers.
    """
    layer = node.op.layer
    rng = np.random.default_rng(0)
    problem = ""
    for size in _OPEN:
        arrays = {x: _draw(x, size, rng) for x in dict.fromkeys(node.inputs)}
        if any(x is None for x in arrays.values()):
            return f"no random inputs of dtype {[x.dtype for x in arrays]} can show what it does"
        values = {x: keras.ops.convert_to_tensor(array) for x, array in arrays.items()}
        try:
            with left_as_they_were([layer, *all_layers(layer)]):
                closed = _call(layer, node, values)
        except Exception as error:  # whatever a layer or the backend may raise
            problem = f"it cannot be run on random inputs: {describe(error)}"
            continue
        try:
            opened = _run(inside, list(values.values()))
        except Exception as error:
            return f"its inside cannot be run by itself: {describe(error)}"
        return _differ(tree.flatten(closed), opened)
    return problem


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


def _run(graph: Graph, inputs: list[Any]) -> list[Any]:
    """The flat outputs of the calls of a graph, in inference."""
    values: dict[Tensor, Any] = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        if not node.is_input:
            results = tree.flatten(_call(node.op.layer, node, values))
            values.update(zip(node.outputs, results, strict=True))
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
