"""What Keras keeps to itself: a model's calls, and what a layer calls when it is called.

``read_graph`` walks a functional or Sequential model once. ``trace`` calls a layer with symbolic
tensors, and reads what it does with them. :mod:`kito.building` makes a model of such a graph.
Nothing that is read is changed.

This is the only module that reads Keras' private attributes. It never decides what to rewrite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
from keras import tree
from keras.src.backend import get_keras_mask
from keras.src.models.functional import Functional
from keras.src.ops.numpy import Multiply, Reshape

from kito.errors import UnsupportedModelError
from kito.nodes import Graph, Op, Tensor
from kito.untouched import left_as_they_were

Ops = dict[int, Op]
"""The op of each layer, by the layer's id."""

PRODUCT, RESHAPE = Multiply, Reshape
"""The classes of ``keras.ops.multiply`` and ``keras.ops.reshape``."""


def read_graph(model: Any) -> Graph:
    """Read a functional or Sequential model, and the models nested in it, O(nodes).

    Raises:
        UnsupportedModelError: the model has a ``call`` of its own, or is a Sequential that was
            never built.
    """
    return _read(model, None, {})


def _read(model: Any, holder: Op | None, ops: Ops) -> Graph:
    core = _core(model)
    graph = Graph(model, holder)
    switch = _read_calls(graph, _calls(core), ops)
    graph.inputs = tree.map_structure(switch, core._inputs_struct)
    graph.outputs = tree.map_structure(switch, core._outputs_struct)
    graph.output_names = [producer_name(x) for x in core.outputs]
    for tensor in tree.flatten(graph.inputs):
        if tensor.node not in graph.nodes:  # an input that nothing uses still is one
            graph.nodes[tensor.node] = None
    return graph


def _read_calls(graph: Graph, calls: Iterable[Any], ops: Ops) -> Callable[[Any], Any]:
    """Append Keras' calls to ``graph``; returns what switches their tensors for ours."""
    tensors: dict[int, Tensor] = {}

    def switch(x: Any) -> Any:
        return tensors[id(x)] if isinstance(x, keras.KerasTensor) else x

    for call in calls:
        args, kwargs = tree.map_structure(switch, (call.arguments.args, call.arguments.kwargs))
        node = graph.add(_op(call.operation, ops), args, kwargs, call.outputs)
        for old, new in zip(call.outputs, node.outputs, strict=True):
            tensors[id(old)] = new
            new.mask = get_keras_mask(old)
    return switch


def _core(model: Any) -> Any:
    """The functional model whose calls are the model's own; raises UnsupportedModelError."""
    kind, name = type(model), getattr(model, "name", "?")
    if isinstance(model, keras.Sequential) and kind.call is keras.Sequential.call:
        if model._functional is None:
            raise UnsupportedModelError(
                f"Sequential model '{name}' is not built, so its layers have no shapes yet: make "
                "keras.Input(shape) its first layer, or call model.build(input_shape) before"
            )
        return model._functional
    if isinstance(model, Functional) and kind.call is Functional.call:
        return model
    raise UnsupportedModelError(
        f"model '{name}' is a subclassed model ({kind.__name__}): what its call() computes cannot "
        "be read as a graph. Write it with the functional API, keras.Model(inputs, outputs)"
    )


def is_readable(layer: Any) -> bool:
    """Whether :func:`read_graph` can read it."""
    if not isinstance(layer, keras.Model):
        return False
    try:
        return _core(layer) is not None
    except UnsupportedModelError:
        return False


def _calls(core: Any) -> Iterator[Any]:
    """The calls of a functional model in the order in which Keras runs them."""
    for depth in sorted(core._nodes_by_depth, reverse=True):
        yield from core._nodes_by_depth[depth]


def _op(layer: Any, ops: dict[int, Op]) -> Op:
    op = ops.get(id(layer))
    if op is None:
        op = ops[id(layer)] = Op(layer, layer.name)
        if is_readable(layer):
            op.graph = _read(layer, op, ops)
        elif type(layer) is keras.layers.TimeDistributed:
            op.inner = _op(layer.layer, ops)
            op.inner.holders.append(op)
    return op


def trace(layer: Any, args: Any, kwargs: dict[str, Any], ops: Ops) -> tuple[Graph, list[Any]]:
    """What ``layer`` does in inference, as a graph, when it is called with such tensors.

    Its ``__call__`` runs as always, but its ``call`` is given the symbolic tensors themselves, so
    that the layers and ``keras.ops`` in it record their calls. Layers inside of those stay closed.

    Args:
        layer: a built layer or model. It is left as it was.
        args: of a call, with a :class:`Tensor` for each symbolic tensor.
        kwargs: likewise.
        ops: the ops that are known; those of the layers inside are added.

    Returns:
        A graph whose inputs are a list, one for each tensor of the call; and the layers in
        ``layer``, at any depth, that were called on constants, of which there is no record.

    Raises:
        StateChanged: the call changes the layer.
        Exception: whatever its ``call`` raises of symbolic tensors.
    """
    symbols: dict[Tensor, Any] = {}
    results: list[Any] = []

    def symbol(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if x not in symbols:
            name = f"input_{len(symbols)}"
            symbols[x] = keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name)
        return symbols[x]

    def call(*args: Any, **kwargs: Any) -> Any:
        results.append(layer.call(*args, **kwargs))
        # Keras enters the layer as the maker of what it returns: give it others to write on.
        return tree.map_structure(_twin, results[-1])

    args, kwargs = tree.map_structure(symbol, (args, kwargs))
    within = all_layers(layer)
    before = [(x._called, len(x._inbound_nodes)) for x in within]
    with _unrecorded([layer, *within]):
        vars(layer)["symbolic_call"] = call
        for x in within:
            x._called = False
        try:
            layer(*args, **{**kwargs, "training": False})
        finally:
            del vars(layer)["symbolic_call"]
            called = [x for x in within if x._called]
            for x, (flag, _) in zip(within, before, strict=True):
                x._called = flag
        seen = {
            id(x)
            for parent, (_, count) in zip(within, before, strict=True)
            if len(parent._inbound_nodes) > count
            for x in (parent, *all_layers(parent))
        }
        graph = Graph(layer, None)
        inputs = list(symbols.values())
        switch = _read_calls(graph, _calls_between(inputs, tree.flatten(results[0])), ops)
        graph.inputs = tree.map_structure(switch, inputs)
        graph.outputs = tree.map_structure(switch, results[0])
    return graph, [x for x in called if id(x) not in seen]


def _unrecorded(layers: list[Any]) -> Any:
    logs = [log for x in layers for log in (x._inbound_nodes, x._outbound_nodes)]
    return left_as_they_were(layers, logs)


def _twin(tensor: Any) -> Any:
    return keras.KerasTensor(tensor.shape, tensor.dtype, name=tensor.name)


def _calls_between(inputs: list[Any], outputs: list[Any]) -> list[Any]:
    """The calls that make ``outputs`` of ``inputs``, whoever is needed first."""
    order: dict[int, Any] = {}
    waiting = [(_maker(x), False) for x in reversed([*inputs, *outputs])]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in order:
            continue
        if ready:
            order[id(node)] = node
            continue
        waiting.append((node, True))
        waiting += [(_maker(x), False) for x in reversed(node.arguments.keras_tensors)]
    return list(order.values())


def _maker(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def as_functional(model: Any, inputs: Any) -> Any:
    """A functional model whose only call is one of ``model``, with the ``keras.Input``s ``inputs``.

    ``model`` is left as it was, but for being built if it was not.
    """
    with _unrecorded([model, *all_layers(model)]):
        return Functional(inputs, model(inputs), name=model.name)


def build_shapes(model: Any) -> dict[str, Any] | None:
    """The shapes that a layer was built with, by argument; None where it was not."""
    shapes = getattr(model, "_build_shapes_dict", None)
    return dict(shapes) if shapes else None


def fresh_operation(operation: Any, name: str) -> Any:
    """A copy of a ``keras.ops`` operation that knows no calls yet; it holds plain values only."""
    fresh = object.__new__(type(operation))  # copy.copy() would go through its configuration
    vars(fresh).update(vars(operation))
    fresh._inbound_nodes, fresh._outbound_nodes = [], []
    fresh.name = name
    return fresh


def producer_name(tensor: Any) -> str:
    """The name of the layer or operation that made a symbolic tensor."""
    return str(tensor._keras_history.operation.name)


def compile_settings(model: Any) -> dict[str, Any] | None:
    """The arguments of ``model.compile``; None where it was not compiled."""
    if not getattr(model, "compiled", False) or not hasattr(model, "_compile_config"):
        return None
    return dict(model._compile_config.config)


def split_operation(tensor: Tensor, parts: int) -> tuple[Any, list[Any]]:
    """The operation that cuts ``tensor`` into equal parts along its last axis, and its results."""
    parts_of = keras.ops.split(keras.KerasTensor(tensor.shape, tensor.dtype), parts, axis=-1)
    return parts_of[0]._keras_history.operation, list(parts_of)


def input_names(model: Any) -> list[str]:
    """The names of a built model's inputs, flat: those of its Input layers."""
    return [producer_name(x) for x in model.inputs]


def output_names(model: Any) -> list[str]:
    """The names of a built model's outputs, flat, each once: a repeated name gets a number."""
    seen: dict[str, int] = {}
    names = []
    for tensor in model.outputs:
        name = producer_name(tensor)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return names


def made_by_one(model: Any) -> bool:
    """Whether one layer makes all outputs of a built model."""
    return len({id(x._keras_history.operation) for x in model.outputs}) == 1


def layer_tensors(model: Any) -> list[tuple[str, Any]]:
    """(layer name, symbolic output) of each call, in topological order; a nested model is one."""
    return [(call.operation.name, x) for call in _calls(_core(model)) for x in call.outputs]


def all_layers(model: Any) -> list[Any]:
    """Every distinct layer at any depth, nested models and wrapped layers included."""
    found: dict[int, Any] = {}

    def walk(layer: Any) -> None:
        own = isinstance(layer, keras.Model)
        for child in layer.layers if own else layer._flatten_layers(False, recursive=False):
            if id(child) not in found:
                found[id(child)] = child
                walk(child)

    walk(model)
    return list(found.values())
