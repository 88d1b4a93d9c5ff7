"""A Keras model -> :class:`~kito.nodes.Graph`, and Graph -> a Keras model.

``read_graph`` walks a functional or Sequential model once. ``build_model`` makes a new model in one
sweep: every layer is created once, called in topological order, and given its weights once, so it
costs O(nodes + weights). The model that was read is never touched.

This is the only module that reads Keras' private attributes. It never decides what to rewrite.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import tree
from keras.src.backend import get_keras_mask
from keras.src.models.functional import Functional

from kito.copying import LayerCopy, copy_metric, is_float
from kito.errors import UnsupportedModelError
from kito.nodes import Graph, Op, Tensor
from kito.twins import copy_trainable


def read_graph(model: Any) -> Graph:
    """Read a functional or Sequential model, and the models nested in it, O(nodes).

    Raises:
        UnsupportedModelError: the model has a ``call`` of its own, or is a Sequential that was
            never built.
    """
    return _read(model, None, {})


def _read(model: Any, holder: Op | None, ops: dict[int, Op]) -> Graph:
    graph = Graph(model, holder)
    core = _core(model)
    tensors: dict[int, Tensor] = {}

    def switch(x: Any) -> Any:
        return tensors[id(x)] if isinstance(x, keras.KerasTensor) else x

    for call in _calls(core):
        args, kwargs = tree.map_structure(switch, (call.arguments.args, call.arguments.kwargs))
        node = graph.add(_op(call.operation, ops), args, kwargs, call.outputs)
        for old, new in zip(call.outputs, node.outputs, strict=True):
            tensors[id(old)] = new
            new.mask = get_keras_mask(old)
    graph.inputs = tree.map_structure(switch, core._inputs_struct)
    graph.outputs = tree.map_structure(switch, core._outputs_struct)
    graph.output_names = [x._keras_history.operation.name for x in core.outputs]
    for tensor in tree.flatten(graph.inputs):
        if tensor.node not in graph.nodes:  # an input that nothing uses still is one
            graph.nodes[tensor.node] = None
    return graph


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
        "be read as a graph. Write it with the functional API, keras.Model(inputs, outputs), or "
        "reduce the functional models inside it one by one"
    )


def _is_readable(layer: Any) -> bool:
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
        if _is_readable(layer):
            op.graph = _read(layer, op, ops)
        elif type(layer) is keras.layers.TimeDistributed:
            op.inner = _op(layer.layer, ops)
            op.inner.holders.append(op)
    return op


def build_model(graph: Graph, dtype: str | None = None) -> Any:
    """A new Keras model of ``graph``; ``dtype`` replaces every float dtype of the model.

    Weights that passes set are released as they are handed over. Names, structure of inputs and
    outputs, dtype policies and trainable flags are the original's; so are loss and metrics.

    Raises:
        UnsupportedModelError: a layer cannot be created again from what it tells of itself.
    """
    builder = _Builder(dtype)
    model = builder.model(graph, graph.model.name)
    builder.restore_trainable(graph, model)
    _copy_compilation(graph.model, model)
    return model


class _Builder:
    """Creates the layers of a graph, each once, and the models around them."""

    def __init__(self, dtype: str | None) -> None:
        self.dtype = dtype
        self.made: dict[Op, Any] = {}
        self.unfinished: list[LayerCopy] = []

    def model(self, graph: Graph, name: str) -> Any:
        # Layers of the model around this one may be waiting for their first call: they stay aside.
        waiting, self.unfinished = self.unfinished, []
        model = (self._sequential if graph.sequential else self._functional)(graph, name)
        self.unfinished = waiting
        # A model casts what it is called with, by a policy of its own.
        policy = graph.model.dtype_policy
        if policy.quantization_mode is None:  # setting such a one would quantize the copy again
            floats = self.dtype is not None and is_float(policy.compute_dtype)
            model.dtype_policy = self.dtype if floats else policy
        return model

    def _functional(self, graph: Graph, name: str) -> Any:
        tensors: dict[Tensor, Any] = {}

        def switch(x: Any) -> Any:
            return tensors[x] if isinstance(x, Tensor) else x

        for node in graph.nodes:
            layer = self.layer(node.op)
            if node.is_input:
                outputs = [layer.output]
            else:
                args, kwargs = tree.map_structure(switch, (node.args, node.kwargs))
                outputs = tree.flatten(_call(layer, args, kwargs))
            self._finish()
            tensors.update(zip(node.outputs, outputs, strict=True))
        inputs = tree.map_structure(switch, graph.inputs)
        outputs = tree.map_structure(switch, graph.outputs)
        if graph.holder is None:
            outputs = _keep_names(outputs, graph.output_names)
        return keras.Model(inputs, outputs, name=name)

    def _sequential(self, graph: Graph, name: str) -> Any:
        # What makes the masks of its layers is in the graph, but not in the list of its layers.
        ops = [node.op for node in graph.nodes if isinstance(node.op.layer, keras.Layer)]
        model = keras.Sequential([self.layer(op) for op in ops], name=name)
        if not model.built:
            raise UnsupportedModelError(f"the copy of Sequential model '{name}' does not build")
        self._finish()
        return model

    def layer(self, op: Op) -> Any:
        """The layer of the new model that stands for ``op``; not yet called, if it is new."""
        if op not in self.made:
            if op.graph is not None:
                self.made[op] = self.model(op.graph, op.name)
            elif not isinstance(op.layer, keras.Layer):
                self.made[op] = _fresh_operation(op.layer, self.dtype)
            else:
                inner = None if op.inner is None else self.layer(op.inner)
                weights, op.weights = op.weights, {}
                new = LayerCopy(op.layer, op.name, op.config, weights, inner, self.dtype)
                self.unfinished.append(new)
                self.made[op] = new.layer
        return self.made[op]

    def _finish(self) -> None:
        """Hand their weights to the layers that have had their first call."""
        for new in self.unfinished:
            new.finish()
        self.unfinished.clear()

    def restore_trainable(self, graph: Graph, model: Any, forced: bool = False) -> None:
        """Freeze what was frozen: the flag of a model, set, overwrites those of all its layers."""
        if forced or not graph.model.trainable:
            model.trainable, forced = graph.model.trainable, True
        for op in {node.op: None for node in graph.nodes}:
            while op.inner is not None:
                self.made[op].trainable, op = op.layer.trainable, op.inner
            if op.graph is not None:
                self.restore_trainable(op.graph, self.made[op], forced)
            elif forced and isinstance(op.layer, keras.Layer):
                copy_trainable(op.layer, self.made[op])


def _call(layer: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    try:
        return layer(*args, **kwargs)
    except (TypeError, ValueError, AttributeError) as error:
        raise UnsupportedModelError(
            f"the copy of layer '{layer.name}' ({type(layer).__name__}) cannot be called as the "
            f"original was: {error}. Its get_config() must return every argument of __init__"
        ) from error


def _keep_names(outputs: Any, names: list[str]) -> Any:
    """Outputs under their old names, also where another layer makes them now."""
    keepers: dict[str, Any] = {}
    flat = tree.flatten(outputs)
    for i, (tensor, name) in enumerate(zip(flat, names, strict=True)):
        if tensor._keras_history.operation.name != name:
            if name not in keepers:
                keepers[name] = keras.layers.Identity(name=name, dtype=tensor.dtype)
            flat[i] = keepers[name](tensor)
    return tree.pack_sequence_as(outputs, flat)


def _fresh_operation(operation: Any, dtype: str | None) -> Any:
    """A copy of a ``keras.ops`` operation that knows no calls yet; it holds plain values only."""
    fresh = object.__new__(type(operation))  # copy.copy() would go through its configuration
    vars(fresh).update(vars(operation))
    fresh._inbound_nodes, fresh._outbound_nodes = [], []
    if dtype and type(fresh).__name__ == "Cast" and is_float(fresh.dtype):
        fresh.dtype = dtype  # such casts come from autocasting, and would lose the precision again
    return fresh


def _copy_compilation(original: Any, model: Any) -> None:
    """Loss and metrics, so that ``evaluate`` works, without the optimizer and its state.

    Keras cannot load a compiled model that has no optimizer, so a plain SGD, which holds no state,
    stands in.
    """
    if not getattr(original, "compiled", False) or not hasattr(original, "_compile_config"):
        return

    config = dict(original._compile_config.config)
    config["optimizer"] = keras.optimizers.SGD()
    for key in ("metrics", "weighted_metrics"):
        config[key] = tree.map_structure(copy_metric, config.get(key))
    model.compile(**config)


def split_operation(tensor: Tensor, parts: int) -> tuple[Any, list[Any]]:
    """The operation that cuts ``tensor`` into equal parts along its last axis, and its results."""
    parts_of = keras.ops.split(keras.KerasTensor(tensor.shape, tensor.dtype), parts, axis=-1)
    return parts_of[0]._keras_history.operation, list(parts_of)


def copy_model(model: Any, dtype: str | None = None) -> Any:
    """A copy of ``model`` that shares no layer with it; ``dtype="float64"`` computes in float64.

    Raises:
        UnsupportedModelError: the model cannot be read, or a layer cannot be copied.
    """
    return build_model(read_graph(model), dtype)


def input_names(model: Any) -> list[str]:
    """The names of a built model's inputs, flat: those of its Input layers."""
    return [x._keras_history.operation.name for x in model.inputs]


def output_names(model: Any) -> list[str]:
    """The names of a built model's outputs, flat, each once: a repeated name gets a number."""
    seen: dict[str, int] = {}
    names = []
    for tensor in model.outputs:
        name = tensor._keras_history.operation.name
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return names


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
