"""Open layers that hold layers, and subclassed models: their calls become calls of the graph.

A custom layer whose ``call`` is written with layers and ``keras.ops`` can be called with symbolic
tensors; what it does with them is recorded, and takes the place of the one call. That is done only
where nothing can be lost by it:

- the recorded calls give the same outputs on random inputs as the layer itself;
- every weight of the layer is one of a layer that is called, or is held by a stock layer that takes
  the place of the operation that used it;
- no call of it is made in training mode, with a mask, or changes the layer;
- there is something in it that a pass could rewrite.

Otherwise the layer stays closed, and :attr:`kito.graph.ir.Op.closed` says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from kito.errors import UnsupportedModelError
from kito.graph.functional import as_functional
from kito.graph.ir import Graph, Node, Op, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.keras_patches import extended_symbolic_calls
from kito.graph.preserve import StateChanged
from kito.graph.read import Ops, is_readable, read_graph
from kito.graph.stock import is_stock
from kito.graph.trace import trace
from kito.rewrite.identity import IDENTITIES
from kito.rewrite.inline.held_weights import hold_weights
from kito.rewrite.inline.verify import Samples, check_same_outputs
from kito.rewrite.transfer.registry import has_transfer


class Closed(Exception):
    """A layer cannot be opened; the reason in words."""


@dataclass(frozen=True)
class Opened:
    """What reading a model found.

    Attributes:
        graph: its calls, those in opened layers included.
        names: of the layers that were opened, in order.
        closed: those that stay closed though a pass might find something in them.
    """

    graph: Graph
    names: tuple[str, ...]
    closed: tuple[Op, ...] = ()


def read_inlined(model: Any, example_inputs: Any = None, only_model: bool = False) -> Opened:
    """Read a model of any kind, and open what holds layers.

    Args:
        model: a functional or Sequential model, or a subclassed one that was built.
        example_inputs: for a subclassed model that was not.
        only_model: whether to open nothing but the model itself, where it is subclassed.

    Raises:
        UnsupportedModelError: the model cannot be read, or is subclassed and cannot be opened.
    """
    view = as_functional(model, example_inputs)
    graph = read_graph(view)
    opening = _Opening(graph)
    if view is not model:
        (node,) = (x for x in graph.nodes if not x.is_input)
        if opening.open(node.op, whole=True) is None:
            raise UnsupportedModelError(
                f"model '{model.name}' is a subclassed model ({type(model).__name__}) that cannot "
                f"be opened: {node.op.closed}. Write it with the functional API, "
                "keras.Model(inputs, outputs), or reduce the models inside it one by one"
            )
        # What its outputs are called is nobody's wish: no layer of the model's own made them.
        graph.model, graph.output_names = model, []
    if view is not model or not only_model:
        opening.run()
    return Opened(graph, tuple(opening.names), tuple(opening.closed))


class _Opening:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.named: set[Op] = {op for inner in graph.graphs() for op in _ops(inner)}
        self.ops: Ops = {id(op.layer): op for inner in graph.graphs() for op in _ops(inner)}
        self.names: list[str] = []
        self.closed: list[Op] = []
        self.samples: Samples = {}

    def run(self) -> None:
        """Open every layer that can be, and then those inside."""
        seen: set[Op] = set()
        waiting = list(dict.fromkeys(op for x in self.graph.graphs() for op in _ops(x)))
        while waiting:
            op = waiting.pop(0).innermost
            if op.graph is not None and op not in seen:  # found inside of an opened layer, say
                seen.add(op)
                waiting[:0] = _ops(op.graph)
            # One that was opened may be called again inside of another.
            if op.closed is not None or not op.calls() or not is_composite(op.layer):
                continue
            if not (_is_promising(op.layer) or isinstance(op.layer, keras.Model)):
                continue
            inner = self.open(op)
            if inner is None:
                self.closed.append(op)
                continue
            self.names += [] if op.name in self.names else [op.name]
            waiting[:0] = inner

    def open(self, op: Op, whole: bool = False) -> list[Op] | None:
        """The ops of the calls that took the place of those of ``op``; None where it is closed."""
        sites, known = list(op.nodes), dict(self.ops)
        before = [(x, list(x.nodes), list(x.wrappers)) for x in known.values()]
        try:
            if op.wrappers:
                raise Closed(f"'{op.wrappers[0].name}' wraps it")
            insides = [_look_inside(node, known, self.samples) for node in sites]
        except Closed as reason:
            op.closed = str(reason)
            for x, nodes, holders in before:  # calls in what is not opened are none
                x.nodes, x.wrappers = nodes, holders
            return None
        self.ops = known
        found: dict[Op, None] = {}
        for node, inside in zip(sites, insides, strict=True):
            graph = node.graph
            calls = _inline(node, inside)
            graph.sequential = graph.sequential and _is_chain(graph)
            found.update(dict.fromkeys(x.op for x in calls))
        self._name(op, found, whole)
        return list(found)

    def _name(self, op: Op, found: Iterable[Op], whole: bool) -> None:
        """Call what was in ``op`` by a name that says so; names are unique in a Keras model."""
        taken = {x.name for inner in self.graph.graphs() for x in _ops(inner) if x not in found}
        for inner in found:
            if inner in self.named:
                continue
            self.named.add(inner)
            name = inner.name if whole else f"{op.name}.{inner.name}"
            names = [name, *(f"{name}_{i}" for i in range(1, len(taken) + 2))]
            inner.name = next(x for x in names if x not in taken)
            taken.add(inner.name)


def _look_inside(node: Node, known: Ops, samples: Samples) -> Graph:
    """The calls inside of one call, which were seen to do what it does."""
    layer = node.op.layer
    if node.runs_training or node.graph.runs_training:
        raise Closed("it is called with training=True")
    if any(x.mask is not None for x in (*node.inputs, *node.outputs)):
        raise Closed("it is called with a mask, or makes one")
    if getattr(layer, "quantization_mode", None):
        raise Closed("it is quantized")
    if type(layer).__call__ is not keras.Layer.__call__:
        raise Closed("it has a __call__ of its own")
    try:
        with extended_symbolic_calls():
            inside, unrecorded = trace(layer, node.args, node.kwargs, known)
    except StateChanged as error:
        raise Closed(str(error)) from error
    except Exception as error:  # whatever its call() may raise
        raise Closed(_why(error)) from error
    for call in inside.nodes:
        if call.runs_training:
            raise Closed(f"it calls '{call.op.name}' with training=True")
    results = tree.flatten(inside.outputs)
    if [x.dtype for x in results] != [x.dtype for x in node.outputs]:
        raise Closed("its results have other dtypes where its inside is known")
    if any(x.mask is not None for x in results):
        raise Closed("it makes a mask")
    problem = hold_weights(inside, layer, unrecorded)
    problem = problem or check_same_outputs(node, inside, samples)
    if problem:
        raise Closed(problem)
    return inside


def _inline(node: Node, inside: Graph) -> list[Node]:
    """Put the calls of ``inside`` in the place of ``node``; returns them.

    The inputs of ``inside`` stand for the tensors that ``node`` takes, each once, in order.
    """
    graph = node.graph
    sources = dict(zip(inside.inputs, dict.fromkeys(node.inputs), strict=True))

    def enter(x: Any) -> Any:
        return sources.get(x, x) if isinstance(x, Tensor) else x

    calls = [x for x in inside.nodes if not x.is_input]
    for tensor in node.inputs:
        tensor.users.remove(node)
    for inner, source in sources.items():
        source.users += inner.users
        inner.node.op.nodes.remove(inner.node)
    for call in calls:
        call.graph = graph
        call.args, call.kwargs = tree.map_structure(enter, (call.args, call.kwargs))
    results = [enter(x) for x in tree.flatten(inside.outputs)]
    leave = dict(zip(node.outputs, results, strict=True))

    def switch(x: Any) -> Any:
        return leave.get(x, x) if isinstance(x, Tensor) else x

    for old, new in leave.items():
        for user in set(old.users):
            user.args, user.kwargs = tree.map_structure(switch, (user.args, user.kwargs))
        new.users += old.users
    graph.outputs = tree.map_structure(switch, graph.outputs)
    node.op.nodes.remove(node)
    order = list(graph.nodes)
    at = order.index(node)
    order[at : at + 1] = calls
    graph.nodes = dict.fromkeys(order)
    return calls


def is_composite(layer: Any) -> bool:
    """Whether a layer is of a class that is not Keras' own, holds layers, and is no graph."""
    return (
        isinstance(layer, keras.Layer)
        and not is_stock(type(layer))
        and not is_readable(layer)
        and bool(all_layers(layer))
    )


def _is_promising(layer: Any) -> bool:
    """Whether a pass may find something in it; a layer that users taught us is theirs."""
    if has_transfer(type(layer)):
        return False
    return any(type(x) in IDENTITIES or has_transfer(type(x)) for x in all_layers(layer))


def _ops(graph: Graph) -> Iterator[Op]:
    return iter(dict.fromkeys(node.op for node in graph.nodes))


def _is_chain(graph: Graph) -> bool:
    """Whether the calls could be those of a Sequential: one after the other, of one tensor each."""
    nodes = list(graph.nodes)
    before: Any = None
    for node in nodes:
        if not isinstance(node.op.layer, keras.Layer) or len(node.outputs) != 1:
            return False
        if len(node.args) > 1 or set(node.kwargs) - {"inputs", "training", "mask"}:
            return False
        if before is not None and (node.inputs != [before] or node.data is not before):
            return False
        before = node.outputs[0]
    return len({x.op for x in nodes}) == len(nodes)


def _why(error: Exception) -> str:
    """What was in the way of the symbolic tensors."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("Arguments received by")[0]
    text = " ".join(re.sub(r"Exception encountered when calling \S+\.", "", text).split())
    if "cannot be used as a boolean" in text:
        return "its call() decides by the values of tensors"
    outside = ("cannot be used as input to a TensorFlow", "convert it to a NumPy", "JAX function")
    if any(x in text for x in outside):
        return "its call() uses operations outside Keras"
    return f"its call() cannot be followed: {type(error).__name__}: {text:.200}"
