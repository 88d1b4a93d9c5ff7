"""Run a graph call by call, in inference, and let go of each tensor after its last use.

A Keras model holds every intermediate tensor until it returns. Here no more are alive than the
calls to come need, whoever looks at the others meanwhile.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from kito.graph.ir import Graph, Node, Tensor


@dataclass(frozen=True)
class Made:
    """One tensor that a call returned.

    Attributes:
        number: its place in the order in which tensors are made; the same in every walk.
        layer: the name of what made it, after those of the nested models that it is in:
            ``encoder/conv``.
        value: the tensor of the backend.
        parents: the numbers of the tensors that the call took.
    """

    number: int
    layer: str
    value: Any
    parents: tuple[int, ...]


def calls(graph: Graph, before: str = "") -> Iterator[tuple[str, Node]]:
    """(name, call) of each call in the order of :func:`walk`; a nested model before its inside."""
    for node in graph.nodes:
        path = before + node.op.name
        yield path, node
        inside = _inside(node)
        if inside is not None:
            # Its inputs are the tensors that it is called with.
            yield from (x for x in calls(inside, f"{path}/") if not x[1].is_input)


def is_walked_into(node: Node) -> bool:
    """Whether :func:`walk` yields what the calls inside return, and not what ``node`` does."""
    return _inside(node) is not None


def walk(graph: Graph, inputs: list[Any]) -> Iterator[Made]:
    """What each call returns, in topological order, inputs first.

    Args:
        graph: its ops hold live layers, which are called as they are.
        inputs: arrays, in the order of the model's inputs; None for an optional one.

    Raises:
        Exception: whatever a layer or the backend may raise.
    """
    numbers = itertools.count()
    given: list[_Value] = []
    for tensor, x in zip(tree.flatten(graph.inputs), inputs, strict=True):
        if x is None:
            given.append((None, None))
            continue
        value = keras.ops.convert_to_tensor(x, dtype=tensor.dtype)
        given.append((value, next(numbers)))
        yield Made(_number(given[-1]), tensor.node.op.name, value, ())
        del value
    yield from _run(graph, given, "", numbers)


_Value = tuple[Any, int | None]
"""A tensor and its number; None and None for an optional input that is not given."""


def _number(value: _Value) -> int:
    assert value[1] is not None
    return value[1]


def _run(
    graph: Graph, given: list[_Value], before: str, numbers: Iterator[int]
) -> Generator[Made, None, list[_Value]]:
    """The calls of one graph; returns its outputs, flat."""
    outputs = tree.flatten(graph.outputs)
    left = Counter([*(x for node in graph.nodes for x in node.inputs), *outputs])
    inputs = tree.flatten(graph.inputs)
    alive = {x: value for x, value in zip(inputs, given, strict=True) if left[x]}
    given.clear()
    for node in graph.nodes:
        if node.is_input:
            continue
        path, inside = before + node.op.name, _inside(node)
        if inside is not None:
            entered = _entered(node, inside, [alive[x] for x in node.inputs])
            results = yield from _run(inside, entered, f"{path}/", numbers)
        else:
            parents = tuple({n for x in node.inputs if (n := alive[x][1]) is not None})
            results = [(x, next(numbers)) for x in _call(node, alive)]
            for value in results:
                yield Made(_number(value), path, value[0], parents)
        for x in node.inputs:
            left[x] -= 1
            if not left[x]:
                del alive[x]
        alive |= {x: y for x, y in zip(node.outputs, results, strict=True) if left[x]}
        results = []
    return [alive[x] for x in outputs]


def _call(node: Node, alive: dict[Tensor, _Value]) -> list[Any]:
    def switch(x: Any) -> Any:
        return alive[x][0] if isinstance(x, Tensor) else x

    args, kwargs = tree.map_structure(switch, (node.args, node.kwargs))
    if isinstance(node.op.layer, keras.Layer):
        kwargs = {**kwargs, "training": False}
    return list(tree.flatten(node.op.layer(*args, **kwargs)))


def _inside(node: Node) -> Graph | None:
    """The graph of a nested model that takes tensors as they come; None where it is one call."""
    inside = node.op.graph
    more = {name for name, x in node.kwargs.items() if x is not None} - {"inputs", "training"}
    if inside is None or len(node.args) > 1 or more:
        return None
    given = node.args[0] if node.args else node.kwargs["inputs"]
    # Keras would feed these by name, or give them another rank.
    by_name = isinstance(given, dict) and not isinstance(inside.inputs, dict)
    taken = tree.flatten(inside.inputs)
    ranks = [len(x.shape) for x in node.inputs]
    return None if by_name or ranks != [len(x.shape) for x in taken] else inside


def _entered(node: Node, inside: Graph, values: list[_Value]) -> list[_Value]:
    """What a nested model makes of what it is called with: tensors of its dtypes."""
    model = node.op.layer
    found: list[_Value] = []
    for tensor, (x, number) in zip(tree.flatten(inside.inputs), values, strict=True):
        for dtype in (model.input_dtype if model.autocast else tensor.dtype, tensor.dtype):
            floats = x is not None and keras.backend.is_float_dtype(dtype_of(x))
            if floats and dtype_of(x) != dtype:
                x = keras.ops.cast(x, dtype)
        found.append((x, number))
    return found


def dtype_of(x: Any) -> str:
    """The dtype of a tensor, as Keras calls it."""
    return str(keras.backend.standardize_dtype(x.dtype))
