"""Graph -> a Keras model, in one sweep.

Every layer is created once, called in topological order, and given its weights once, so it costs
O(nodes + weights). Layers that no pass changed are copied with their names, dtype policies and
weights.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from kito.errors import UnsupportedModelError
from kito.graph.clone import LayerClone
from kito.graph.clone_check import copy_trainable
from kito.graph.clone_config import clone_metric, is_float
from kito.graph.ir import Graph, Op, Tensor
from kito.graph.keras_internals import compile_settings, fresh_operation, producer_name
from kito.graph.keras_patches import dense_products


def build_model(graph: Graph, dtype: str | None = None) -> Any:
    """A new Keras model of ``graph``; ``dtype`` replaces every float dtype of the model.

    Weights that passes set are released as they are handed over. Names, structure of inputs and
    outputs, dtype policies and trainable flags are the original's; so are loss and metrics.

    Raises:
        UnsupportedModelError: a layer cannot be created again from what it tells of itself.
    """
    builder = _Builder(dtype)
    with dense_products():
        model = builder.model(graph, graph.model.name)
    builder.restore_trainable(graph, model)
    _copy_compilation(graph.model, model)
    return model


class _Builder:
    """Creates the layers of a graph, each once, and the models around them."""

    def __init__(self, dtype: str | None) -> None:
        self.dtype = dtype
        self.made: dict[Op, Any] = {}
        self.unfinished: list[LayerClone] = []

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
        if graph.caller is None and graph.output_names:
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
                self.made[op] = self._operation(op)
            else:
                inner = None if op.inner is None else self.layer(op.inner)
                weights, op.weights = op.weights, {}
                try:
                    new = LayerClone(op.layer, op.name, op.config, weights, inner, self.dtype)
                except UnsupportedModelError as error:
                    if op.closed is None:
                        raise
                    raise UnsupportedModelError(f"{error}; it stays closed: {op.closed}") from error
                self.unfinished.append(new)
                self.made[op] = new.layer
        return self.made[op]

    def _operation(self, op: Op) -> Any:
        fresh = fresh_operation(op.layer, op.name)
        # Such casts come from autocasting, and would lose the precision again.
        if self.dtype and type(fresh).__name__ == "Cast" and is_float(fresh.dtype):
            fresh.dtype = self.dtype
        return fresh

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
        if producer_name(tensor) != name:
            if name not in keepers:
                keepers[name] = keras.layers.Identity(name=name, dtype=tensor.dtype)
            flat[i] = keepers[name](tensor)
    return tree.pack_sequence_as(outputs, flat)


def _copy_compilation(original: Any, model: Any) -> None:
    """Loss and metrics, so that ``evaluate`` works, without the optimizer and its state.

    Keras cannot load a compiled model that has no optimizer, so a plain SGD, which holds no state,
    stands in.
    """
    settings = compile_settings(original)
    if settings is None:
        return
    config = {**settings, "optimizer": keras.optimizers.SGD()}
    for key in ("metrics", "weighted_metrics"):
        config[key] = tree.map_structure(clone_metric, config.get(key))
    model.compile(**config)
