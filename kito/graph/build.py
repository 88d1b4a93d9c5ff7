"""Build a Keras model from a graph, in one sweep.

Every layer is created once, called in topological order, and given its weights once, so the cost is
O(nodes + weights). Layers that no pass changed are cloned with their names, dtype policies and
weights. A layer that cannot be copied is shared with the original model.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from kito.errors import UnsupportedModelError
from kito.graph.clone import LayerClone
from kito.graph.clone_check import copy_trainable
from kito.graph.clone_config import clone_metric, is_float
from kito.graph.copy_layer import Copy, Way, copy_layer, is_trusted
from kito.graph.ir import Graph, Op, Tensor, map_tensors
from kito.graph.keras_internals import (
    all_layers,
    compile_settings,
    fresh_operation,
    producer_name,
)
from kito.graph.keras_patches import dense_products
from kito.graph.limits import Limit, LimitFound, Limits
from kito.graph.live_copy import Copies, NotCopied
from kito.graph.preserve import kept_attributes, kept_calls, kept_trainable
from kito.graph.read import read_graph


@dataclass(frozen=True)
class Shared:
    """A layer that both models use.

    Attributes:
        layer: its name in both models.
        reason: why it could not be copied, in words.
    """

    layer: str
    reason: str


def build_model(
    graph: Graph, dtype: str | None = None, limits: Limits | None = None
) -> tuple[Any, tuple[Shared, ...]]:
    """A new Keras model of ``graph``, and the layers that it shares with the original.

    Names, the structure of inputs and outputs, dtype policies, trainable flags, loss and metrics
    are the original's. Weights that passes set are removed from the graph once they are copied.

    Args:
        graph: what to build.
        dtype: replaces every float dtype of the model, except in shared layers. Such a model can
            be run, but not saved.
        limits: what earlier attempts have found out.

    Raises:
        LimitFound: a layer cannot be built as planned; another attempt may be able to.
        UnsupportedModelError: the copy of the model does not build.
    """
    with contextlib.ExitStack() as stack:
        builder = _Builder(dtype, limits or Limits(), stack)
        with dense_products():
            model = builder.model(graph, graph.model.name)
        builder.restore_trainable(graph, model)
    copy_compilation(graph.model, model)
    return model, tuple(builder.shared)


class _Builder:
    """Creates the layers of a graph, each once, and the models around them.

    Attributes:
        dtype: replaces every float dtype; None to keep them.
        limits: what earlier attempts have found out.
        until_built: what is restored once the model is built: shared layers.
        layers: the layer, operation or model that was created for each op.
        unfinished: clones that wait for their first call.
        shared: the layers of the original that are used as they are.
    """

    def __init__(
        self, dtype: str | None, limits: Limits, until_built: contextlib.ExitStack
    ) -> None:
        self.dtype, self.limits, self.until_built = dtype, limits, until_built
        self.layers: dict[Op, Any] = {}
        self.unfinished: list[LayerClone] = []
        self.shared: list[Shared] = []

    def model(self, graph: Graph, name: str) -> Any:
        # Layers of the model around this one may still wait for their first call.
        waiting, self.unfinished = self.unfinished, []
        model = (self._sequential if graph.sequential else self._functional)(graph, name)
        self.unfinished = waiting
        # A model casts its inputs by its own policy.
        policy = graph.model.dtype_policy
        if policy.quantization_mode is None:  # setting a quantized policy would quantize again
            floats = self.dtype is not None and is_float(policy.compute_dtype)
            model.dtype_policy = self.dtype if floats else policy
        return model

    def _functional(self, graph: Graph, name: str) -> Any:
        tensors: dict[Tensor, Any] = {}
        for node in graph.nodes:
            layer = self.layer(node.op)
            if node.is_input:
                outputs = [layer.output]
            else:
                args, kwargs = node.map_arguments(tensors.__getitem__)
                outputs = tree.flatten(_call(node.op, layer, args, kwargs))
            self._finish()
            tensors.update(zip(node.outputs, outputs, strict=True))
        self._check_names(graph)
        inputs = map_tensors(graph.inputs, tensors.__getitem__)
        outputs = map_tensors(graph.outputs, tensors.__getitem__)
        if graph.caller is None and graph.output_names:
            outputs = _keep_names(outputs, graph.output_names)
        return keras.Model(inputs, outputs, name=name)

    def _sequential(self, graph: Graph, name: str) -> Any:
        # Operations that compute masks are in the graph, but not in the layers of a Sequential.
        ops = [node.op for node in graph.nodes if isinstance(node.op.layer, keras.Layer)]
        model = keras.Sequential([self.layer(op) for op in ops], name=name)
        if not model.built:
            raise UnsupportedModelError(f"the copy of Sequential model '{name}' does not build")
        self._finish()
        return model

    def layer(self, op: Op) -> Any:
        """The layer of the new model for ``op``; created, but not called, at the first request."""
        if op not in self.layers:
            if op.graph is not None:
                self.layers[op] = self.model(op.graph, op.name)
            elif not isinstance(op.layer, keras.Layer):
                self.layers[op] = self._operation(op)
            elif is_trusted(op) and self.limits.reason(Limit.UNTRUSTED, op.layer) is None:
                try:
                    self.layers[op] = self._clone(op)
                except UnsupportedModelError:  # its get_config() fails, say
                    self.layers[op] = self._copy(op)
            else:
                self.layers[op] = self._copy(op)
        return self.layers[op]

    def _clone(self, op: Op) -> Any:
        inner = None if op.inner is None else self.layer(op.inner)
        clone = LayerClone(op.layer, op.name, op.config, op.weights, inner, self.dtype)
        op.weights = {}
        self.unfinished.append(clone)
        return clone.layer

    def _copy(self, op: Op) -> Any:
        """A copy that was compared with the layer of ``op``, or else that layer."""
        copy = copy_layer(op, self._copy_model, self.dtype)
        if op.weights or op.config:
            if copy.way is not Way.CLONE:
                raise LimitFound(op.layer, Limit.FIXED, copy.reason)
            return self._clone(op)
        if copy.way is Way.SHARED:
            self._share(op, copy)
        return copy.layer

    def _copy_model(self, model: Any) -> Copies:
        """The copies of a model and of its layers, which nothing in this graph calls."""
        graph = read_graph(model)
        builder = _Builder(self.dtype, self.limits, self.until_built)
        copies = {id(model): (model, builder.model(graph, model.name))}
        if builder.shared:
            raise NotCopied(f"'{builder.shared[0].layer}' in model '{model.name}' is not copied")
        builder.restore_trainable(graph, copies[id(model)][1])
        return copies | {id(op.layer): (op.layer, x) for op, x in builder.layers.items()}

    def _share(self, op: Op, copy: Copy) -> None:
        within = [op.layer, *all_layers(op.layer)]
        self.until_built.enter_context(kept_attributes(within))
        self.until_built.enter_context(kept_trainable(within))
        if self.dtype is not None:  # the model is only run: it needs no record of the calls
            self.until_built.enter_context(kept_calls(within))
        self.shared.append(Shared(op.layer.name, copy.reason))

    def _check_names(self, graph: Graph) -> None:
        """A shared layer keeps its name, which another layer of the new model may have."""
        ops = {node.op: None for node in graph.nodes}
        count = Counter(self.layers[op].name for op in ops)
        for op in ops:
            if self.layers[op] is op.layer and count[op.layer.name] > 1:
                raise LimitFound(
                    op.layer,
                    Limit.CLOSED,
                    f"'{op.layer.name}' in it cannot be copied, and another layer has its name",
                )

    def _operation(self, op: Op) -> Any:
        fresh = fresh_operation(op.layer, op.name)
        # Autocasting inserted these casts; with the old dtype they would lose precision.
        if self.dtype and type(fresh).__name__ == "Cast" and is_float(fresh.dtype):
            fresh.dtype = self.dtype
        return fresh

    def _finish(self) -> None:
        """Give their weights to the layers that had their first call."""
        for clone in self.unfinished:
            clone.finish()
        self.unfinished.clear()

    def restore_trainable(self, graph: Graph, model: Any, forced: bool = False) -> None:
        """Freeze what is frozen in the original.

        Setting the flag of a model also sets the flags of all its layers. So those are set again,
        after it: ``forced`` says that the flag of a model around this one was set.
        """
        if forced or not graph.model.trainable:
            model.trainable, forced = graph.model.trainable, True
        for op in {node.op: None for node in graph.nodes}:
            while op.inner is not None:
                self.layers[op].trainable, op = op.layer.trainable, op.inner
            if op.graph is not None:
                self.restore_trainable(op.graph, self.layers[op], forced)
            elif forced and isinstance(op.layer, keras.Layer):
                copy_trainable(op.layer, self.layers[op])


def _call(op: Op, layer: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """``layer(*args, **kwargs)``, where ``layer`` was made for ``op``."""
    try:
        return layer(*args, **kwargs)
    except (TypeError, ValueError, AttributeError) as error:
        raise LimitFound(
            op.layer,
            Limit.UNTRUSTED,
            f"its copy cannot be called as it was: {error}",
        ) from error


def _keep_names(outputs: Any, names: list[str]) -> Any:
    """The outputs with Identity layers of these names where a layer of another name returns one."""
    identities: dict[str, Any] = {}
    flat = tree.flatten(outputs)
    for i, (tensor, name) in enumerate(zip(flat, names, strict=True)):
        if producer_name(tensor) != name:
            if name not in identities:
                identities[name] = keras.layers.Identity(name=name, dtype=tensor.dtype)
            flat[i] = identities[name](tensor)
    return tree.pack_sequence_as(outputs, flat)


def copy_compilation(original: Any, model: Any) -> None:
    """Copy loss and metrics, so that ``evaluate`` works, but not the optimizer and its state.

    Keras cannot load a compiled model without an optimizer, so it gets a plain SGD, which has no
    state.
    """
    settings = compile_settings(original)
    if settings is None:
        return
    config = {**settings, "optimizer": keras.optimizers.SGD()}
    for key in ("metrics", "weighted_metrics"):
        config[key] = tree.map_structure(clone_metric, config.get(key))
    model.compile(**config)
