"""Copy a layer whose configuration cannot be trusted: a custom one, or one that holds such layers.

The ways, in order:

1. a clone from its configuration (:mod:`kito.graph.clone`);
2. a copy of the live object (:mod:`kito.graph.live_copy`).

A copy is used only if its attributes are the layer's, and so are its outputs on random inputs, at
each call that the model makes. Where neither can be had, the layer itself is used: both models then
share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import summarize
from kito.graph.clone import LayerClone
from kito.graph.clone_check import copy_trainable, find_mismatch
from kito.graph.ir import Graph, Op, Tensor, map_tensors
from kito.graph.keras_internals import all_layers, forget_calls
from kito.graph.limits import LimitFound
from kito.graph.live_copy import Copies, copy_live
from kito.graph.measure import measure_shapes
from kito.graph.preserve import restored
from kito.graph.random_call import OPEN_SIZES, RTOL, draw_inputs, find_difference
from kito.graph.stock import is_stock

_RTOL_FLOAT64 = {"float16": 3e-2, "bfloat16": 1e-1}
"""How far a copy in float64 may be from its original, by what that computes in; else 1e-3."""


class Way(Enum):
    """How a layer gets into the reduced model."""

    CLONE = "created again from its configuration"
    LIVE = "the live object was copied"
    SHARED = "both models share it"


WAYS = (Way.CLONE, Way.LIVE)
"""The ways to copy a layer, in the order in which they are tried."""


@dataclass(frozen=True)
class Copy:
    """A layer for the reduced model.

    Attributes:
        layer: a built layer that does what the original does; the original itself if shared.
        way: how it was made.
        reason: why the original could not be created again from its configuration; else empty.
    """

    layer: Any
    way: Way
    reason: str = ""


def is_trusted(op: Op) -> bool:
    """Whether the configuration of a layer is complete: it and all layers in it are Keras' own.

    What a ``TimeDistributed`` wraps has an op of its own. Operations and models, whose calls are in
    a graph, need no configuration.
    """
    layer = op.layer
    if not isinstance(layer, keras.Layer) or op.graph is not None:
        return True
    return is_stock(type(layer)) and (
        op.inner is not None or all(is_stock(type(x)) for x in all_layers(layer))
    )


def prepare_copies(graph: Graph) -> None:
    """Measure the shapes of tensors, if layers have to be compared with copies of them.

    Do so before any pass changes the graph. Sizes may have to fit together, and the first axis of a
    tensor may hold more than the samples.
    """
    nodes = [node for inner in graph.graphs() for node in inner.nodes]
    tensors = [x for node in nodes if not is_trusted(node.op.innermost) for x in node.inputs]
    if any(x.measured is None and None in x.shape for x in tensors):
        measure_shapes(graph)


def copy_layer(op: Op, copy_model: Callable[[Any], Copies], dtype: str | None = None) -> Copy:
    """A built copy of the layer of ``op``, under the name of ``op``; or else the layer itself.

    Args:
        op: its calls say how the copy is built and run. Changes of passes are left out.
        copy_model: copies a functional or Sequential model that the layer holds.
        dtype: replaces the dtype policies of the layer if they are float ones.
    """
    layer = op.layer
    trial = Trial(op, dtype)
    if trial.failure:
        return Copy(layer, Way.SHARED, trial.failure)
    failures: list[str] = []
    for way in WAYS:
        try:
            if way is Way.CLONE:
                copy = _clone(op, trial, dtype)
            else:
                copy = copy_live(layer, op.name, copy_model, dtype)
        except Exception as error:  # whatever a custom class may raise
            text = error.reason if isinstance(error, LimitFound) else str(error)
            failures.append(" ".join(text.removeprefix(f"{_what(layer)} ").split()))
            continue
        problem = trial.find_problem(copy)
        if problem is None:
            copy_trainable(layer, copy)
            forget_calls(copy)
            return Copy(copy, way, "; ".join(failures))
        failures.append(problem)
    return Copy(layer, Way.SHARED, "; ".join(dict.fromkeys(failures)))


def _what(layer: Any) -> str:
    return f"layer '{layer.name}' ({type(layer).__name__})"


def _clone(op: Op, trial: Trial, dtype: str | None) -> Any:
    clone = LayerClone(op.layer, op.name, {}, {}, None, dtype)
    trial.call(clone.layer)
    clone.finish()
    return clone.layer


@dataclass(frozen=True)
class _Call:
    """The arguments of a call, with a :class:`Tensor` for each tensor."""

    args: Any
    kwargs: Any

    @property
    def tensors(self) -> list[Tensor]:
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, Tensor)]

    def of(self, layer: Any, f: Callable[[Tensor], Any]) -> list[Any]:
        """The flat outputs of ``layer`` in inference, with ``f(tensor)`` for each tensor."""
        args, kwargs = map_tensors((self.args, self.kwargs), f)
        return list(tree.flatten(layer(*args, **{**kwargs, "training": False})))


def _calls(op: Op) -> Iterator[_Call]:
    """The calls of a layer, also those that a ``TimeDistributed`` around it makes."""
    yield from (_Call(node.args, node.kwargs) for node in op.nodes)
    for wrapper in op.wrappers:
        for call in _calls(wrapper):
            whole = call.tensors[0]
            step = Tensor(whole.node, whole.index, (whole.shape[0], *whole.shape[2:]), whole.dtype)
            yield _Call((step,), {})


class Trial:
    """Runs a layer on random inputs, at each of its calls, to compare copies with it.

    Args:
        op: that of the layer, with its calls.
        dtype: the float dtype of the copies, if that is not the layer's own.

    Attributes:
        failure: why the layer cannot be run; empty if it can.
    """

    def __init__(self, op: Op, dtype: str | None = None) -> None:
        self.layer, self.calls, self.dtype = op.layer, list(_calls(op)), dtype
        self.failure = ""
        self._runs: list[tuple[_Call, dict[Tensor, Any], list[Any]]] = []
        for call in self.calls:
            self._run(call)

    def _run(self, call: _Call) -> None:
        for size in OPEN_SIZES:
            values = draw_inputs(call.tensors, size, np.random.default_rng(0))
            if values is None:
                self.failure = "it takes tensors for which no random values can be drawn"
                return
            try:
                with restored([self.layer, *all_layers(self.layer)]):
                    outputs = call.of(self.layer, values.__getitem__)
            except Exception as error:  # whatever a layer or the backend may raise
                self.failure = f"it cannot be run on random inputs: {summarize(error)}"
                continue
            self.failure = ""
            self._runs.append((call, values, outputs))
            return

    def call(self, layer: Any) -> None:
        """Call ``layer`` with symbolic tensors, as the model does: that builds it."""
        symbols: dict[Tensor, Any] = {}

        def symbol(x: Tensor) -> Any:
            if x not in symbols:
                symbols[x] = keras.Input(batch_shape=x.shape, dtype=x.dtype)
            return symbols[x]

        for call in self.calls:
            call.of(layer, symbol)

    def find_problem(self, copy: Any) -> str | None:
        """In words, how ``copy`` differs from the layer; None if it does the same."""
        mismatch = find_mismatch(self.layer, copy)
        if mismatch is not None:
            return f"its copy loses {mismatch}"
        exact = self.dtype is None
        rtol = RTOL if exact else _RTOL_FLOAT64.get(self.layer.compute_dtype, 1e-3)
        return self.find_difference(copy, rtol)

    def find_difference(self, copy: Any, rtol: float) -> str | None:
        """In words, how the outputs of ``copy`` differ from the layer's; None if they do not."""
        for call, values, expected in self._runs:
            try:
                with restored([copy, *all_layers(copy)]):
                    actual = call.of(copy, values.__getitem__)
            except Exception as error:  # whatever a layer or the backend may raise
                return f"its copy cannot be run: {summarize(error)}"
            problem = find_difference(expected, actual, "its copy", rtol)
            if problem is not None:
                return problem
        return None
