"""Run a graph call by call, in inference, as ``torch.fx.Interpreter`` does.

A Keras model holds every intermediate tensor until it returns. The interpreter releases each tensor
after its last use, so it can look at every tensor of a large model with little memory.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from kito.graph.inference import without_gradients
from kito.graph.ir import Graph, Node, Tensor


@dataclass(frozen=True)
class Result:
    """One tensor that a call returned.

    Attributes:
        number: its place in the order in which tensors are computed; the same in every run.
        layer: the name of the layer that returned it, after the names of the nested models that
            contain the layer: ``encoder/conv``.
        value: the tensor of the backend.
        parents: the numbers of the tensors that the call took.
    """

    number: int
    layer: str
    value: Any
    parents: tuple[int, ...]


def calls(graph: Graph, before: str = "") -> Iterator[tuple[str, Node]]:
    """(name, call) of each call in the order of :meth:`Interpreter.walk`.

    A nested model comes before the calls inside it.
    """
    for node in graph.nodes:
        path = before + node.op.name
        yield path, node
        inside = _nested_graph(node)
        if inside is not None:
            # Its inputs are the tensors that it is called with.
            yield from (x for x in calls(inside, f"{path}/") if not x[1].is_input)


def is_entered(node: Node) -> bool:
    """Whether the interpreter runs the calls inside ``node``, a nested model, one by one."""
    return _nested_graph(node) is not None


_Value = tuple[Any, int | None]
"""A tensor and its number; None and None for an optional input that is not given."""


class Interpreter:
    """Runs the calls of a graph in topological order, in inference.

    Override :meth:`run_node` to change or to record what single calls do.

    Args:
        graph: its ops hold live layers, which are called as they are.
        enter_models: whether to run the calls inside nested models one by one, too. Otherwise, a
            nested model is run as one call.
    """

    def __init__(self, graph: Graph, enter_models: bool = True) -> None:
        self.graph, self.enter_models = graph, enter_models
        self._numbers: Iterator[int] = itertools.count()
        self._outputs: list[Any] = []

    def run(self, inputs: list[Any]) -> list[Any]:
        """The outputs of the graph, flat. Arguments and errors are those of :meth:`walk`."""
        for _ in self.walk(inputs):
            pass
        outputs, self._outputs = self._outputs, []
        return outputs

    def walk(self, inputs: list[Any]) -> Iterator[Result]:
        """Each tensor when it is computed, the inputs first.

        Args:
            inputs: arrays or tensors, in the order of the graph's inputs; None for an optional
                input that is not given.

        Raises:
            Exception: whatever a layer or the backend may raise.
        """
        self._numbers = itertools.count()
        given: list[_Value] = []
        for tensor, x in zip(tree.flatten(self.graph.inputs), inputs, strict=True):
            if x is None:
                given.append((None, None))
                continue
            is_tensor = keras.ops.is_tensor(x)
            value = x if is_tensor else keras.ops.convert_to_tensor(x, dtype=tensor.dtype)
            given.append((value, next(self._numbers)))
            yield Result(_number(given[-1]), tensor.node.op.name, value, ())
            del value
        outputs = yield from self._run_graph(self.graph, given, "")
        self._outputs = [value for value, _ in outputs]

    def run_node(self, node: Node, values: Mapping[Tensor, Any]) -> list[Any]:
        """Run one call; returns its results, flat.

        Args:
            node: a call that is not an input.
            values: a tensor of the backend for each of the call's inputs.
        """
        args, kwargs = node.map_arguments(values.__getitem__)
        if isinstance(node.op.layer, keras.Layer):
            kwargs = {**kwargs, "training": False}
        with without_gradients():
            return list(tree.flatten(node.op.layer(*args, **kwargs)))

    def _run_graph(
        self, graph: Graph, given: list[_Value], before: str
    ) -> Generator[Result, None, list[_Value]]:
        """Run one graph on ``given``, which it empties; returns the outputs, flat."""
        outputs = tree.flatten(graph.outputs)
        uses_left = Counter([*(x for node in graph.nodes for x in node.inputs), *outputs])
        inputs = tree.flatten(graph.inputs)
        alive = {x: value for x, value in zip(inputs, given, strict=True) if uses_left[x]}
        given.clear()
        for node in graph.nodes:
            if node.is_input:
                continue
            path = before + node.op.name
            inside = _nested_graph(node) if self.enter_models else None
            if inside is not None:
                entered = _cast_inputs(node, inside, [alive[x] for x in node.inputs])
                results = yield from self._run_graph(inside, entered, f"{path}/")
            else:
                parents = tuple({n for x in node.inputs if (n := alive[x][1]) is not None})
                values = self.run_node(node, {x: alive[x][0] for x in node.inputs})
                results = [(value, next(self._numbers)) for value in values]
                del values
                for result in results:
                    yield Result(_number(result), path, result[0], parents)
            for x in node.inputs:
                uses_left[x] -= 1
                if not uses_left[x]:
                    del alive[x]
            returned = zip(node.outputs, results, strict=True)
            alive |= {x: result for x, result in returned if uses_left[x]}
            results = []
        return [alive[x] for x in outputs]


def _number(value: _Value) -> int:
    assert value[1] is not None
    return value[1]


def _nested_graph(node: Node) -> Graph | None:
    """The graph of a nested model whose calls can be run one by one; None for any other call."""
    inside = node.op.graph
    more = {name for name, x in node.kwargs.items() if x is not None} - {"inputs", "training"}
    if inside is None or len(node.args) > 1 or more:
        return None
    given = node.args[0] if node.args else node.kwargs["inputs"]
    # Keras would match these by name, or change their rank.
    by_name = isinstance(given, dict) and not isinstance(inside.inputs, dict)
    taken = tree.flatten(inside.inputs)
    ranks = [len(x.shape) for x in node.inputs]
    return None if by_name or ranks != [len(x.shape) for x in taken] else inside


def _cast_inputs(node: Node, inside: Graph, values: list[_Value]) -> list[_Value]:
    """The inputs of a nested model, cast to its dtypes as Keras casts them."""
    model = node.op.layer
    cast: list[_Value] = []
    for tensor, (x, number) in zip(tree.flatten(inside.inputs), values, strict=True):
        for dtype in (model.input_dtype if model.autocast else tensor.dtype, tensor.dtype):
            is_float = x is not None and keras.backend.is_float_dtype(_dtype(x))
            if is_float and _dtype(x) != dtype:
                x = keras.ops.cast(x, dtype)
        cast.append((x, number))
    return cast


def _dtype(x: Any) -> str:
    return str(keras.backend.standardize_dtype(x.dtype))
