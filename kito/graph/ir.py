"""The editable picture of a model: tensors, ops, calls of ops, and the graph that they form.

Passes read it and edit it through a few verbs: :meth:`Graph.bypass`, :meth:`Graph.give_own_copy`,
:meth:`Op.change`. The live Keras objects are in it to be read; they are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.graph.stock import named_weights, trains_by_default


class Tensor:
    """One tensor of a graph: output ``index`` of the call ``node``.

    Attributes:
        users: the calls that take it, one entry a use: a call that takes it twice is in it twice.
        mask: what Keras hands on with it to the layers that heed masks; None where nothing.
    """

    __slots__ = ("dtype", "index", "mask", "node", "shape", "users")

    def __init__(self, node: Node, index: int, shape: tuple[int | None, ...], dtype: str) -> None:
        self.node, self.index, self.shape, self.dtype = node, index, shape, dtype
        self.users: list[Node] = []
        self.mask: Any = None


class Op:
    """What is called: a layer, a ``keras.ops`` operation or a nested model; one for all its calls.

    Attributes:
        layer: the live Keras object of the original model.
        name: the name that the layer gets in the rebuilt model.
        nodes: its calls, in every graph of the model.
        graph: the inside, where ``layer`` is a functional or Sequential model.
        inner: what ``layer`` wraps, where it is a ``TimeDistributed``.
        wrappers: the ops that have it as their ``inner``.
        weights: new values that passes gave it, by variable name, None for one that is no more;
            tensors of the backend, because variables share the memory of those, while they would
            copy arrays.
        config: constructor arguments that passes changed.
        closed: for a layer that holds layers which nobody can reach, why it is not opened.
    """

    def __init__(self, layer: Any, name: str) -> None:
        self.layer, self.name = layer, name
        self.nodes: list[Node] = []
        self.graph: Graph | None = None
        self.inner: Op | None = None
        self.wrappers: list[Op] = []
        self.weights: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.closed: str | None = None

    @property
    def type_name(self) -> str:
        """The class of the layer."""
        return type(self.layer).__name__

    @property
    def innermost(self) -> Op:
        """What wrappers around it finally call."""
        return self if self.inner is None else self.inner.innermost

    def calls(self) -> list[Node]:
        """The calls of this op, those through a wrapper included."""
        return self.nodes + [node for wrapper in self.wrappers for node in wrapper.calls()]

    def weight(self, name: str) -> np.ndarray | None:
        """The value of the variable of this name, as passes left it; None where there is none."""
        if name in self.weights:
            value = self.weights[name]
            return None if value is None else np.asarray(value)
        variable = named_weights(self.layer).get(name)
        return None if variable is None else np.asarray(variable.numpy())

    def setting(self, name: str, default: Any = None) -> Any:
        """A constructor argument, as passes left it; ``default`` where the layer has none."""
        return self.config.get(name, getattr(self.layer, name, default))

    def change(self, weights: Mapping[str, np.ndarray | None], config: Mapping[str, Any]) -> None:
        """Give it other weights (by variable name) and constructor arguments."""
        for name, value in weights.items():
            self.weights[name] = None if value is None else keras.ops.convert_to_tensor(value)
        self.config.update(config)

    def become(self, layer: Any, weights: Mapping[str, np.ndarray | None]) -> None:
        """From now on all its calls call ``layer``, which is new and gets these weights."""
        self.layer, self.weights, self.config = layer, {}, {}
        self.change(weights, {})

    def copy(self, name: str) -> Op:
        """The same layer, changed as this one is, under another name; nothing calls it yet."""
        new = Op(self.layer, name)
        new.weights, new.config = dict(self.weights), dict(self.config)
        if self.inner is not None:
            new.inner = self.inner.copy(self.inner.name)
            new.inner.wrappers = [new]
        return new


def map_tensors(structure: Any, f: Callable[[Tensor], Any]) -> Any:
    """The same structure with ``f(tensor)`` in the place of each :class:`Tensor`."""
    return tree.map_structure(lambda x: f(x) if isinstance(x, Tensor) else x, structure)


class Node:
    """One call: ``op(*args, **kwargs)``, with a :class:`Tensor` for each symbolic tensor."""

    __slots__ = ("args", "graph", "kwargs", "op", "outputs")

    def __init__(self, graph: Graph, op: Op, args: Any, kwargs: dict[str, Any]) -> None:
        self.graph, self.op, self.args, self.kwargs = graph, op, args, kwargs
        self.outputs: list[Tensor] = []

    def map_arguments(self, f: Callable[[Tensor], Any]) -> tuple[Any, dict[str, Any]]:
        """(args, kwargs) with ``f(tensor)`` in the place of each tensor; the node stays as it is."""
        args, kwargs = map_tensors((self.args, self.kwargs), f)
        return args, kwargs

    @property
    def inputs(self) -> list[Tensor]:
        """Every tensor that the call takes, keyword arguments included."""
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, Tensor)]

    @property
    def data(self) -> Tensor | None:
        """The tensor that the call transforms: its first positional argument, or ``inputs``.

        Of an operation with a constant before the tensor, such as ``2.0 * x``, the tensor.
        """
        first = self.args[0] if self.args else self.kwargs.get("inputs")
        if isinstance(first, Tensor):
            return first
        inputs = self.inputs
        alone = len(inputs) == 1 and not isinstance(self.op.layer, keras.layers.Layer)
        return inputs[0] if alone else None

    @property
    def changes_mask(self) -> bool:
        """Whether its result has another mask than its data: it makes, takes or drops one."""
        return self.data is None or any(x.mask is not self.data.mask for x in self.outputs)

    @property
    def is_input(self) -> bool:
        """Whether it stands for an input of the model."""
        return isinstance(self.op.layer, keras.layers.InputLayer)

    @property
    def runs_training(self) -> bool:
        """Whether the call asks for training mode, or may: by a tensor, say.

        Keras records the default of the layer's signature as well; that is nobody's wish.
        """
        training = self.kwargs.get("training")
        if not isinstance(training, bool | int | None):
            return True
        return bool(training) and not trains_by_default(self.op.innermost.layer.__class__)


class Graph:
    """The calls of one functional or Sequential model in topological order, and its ends.

    Attributes:
        model: the Keras model that was read.
        caller: the op that calls it where it is nested in another model; None for the outermost.
        nodes: its calls; a dict for its order and its cheap removal.
        inputs, outputs: structures (single, list, dict) of :class:`Tensor`, as the model's own.
        output_names: the names of the layers that made the model's outputs, flat; none where they
            are of no matter.
    """

    def __init__(self, model: Any, caller: Op | None) -> None:
        self.model, self.caller = model, caller
        self.sequential = isinstance(model, keras.Sequential)
        self.nodes: dict[Node, None] = {}
        self.inputs: Any = None
        self.outputs: Any = None
        self.output_names: list[str] = []

    def add(self, op: Op, args: Any, kwargs: dict[str, Any], outputs: list[Any]) -> Node:
        """Append a call whose results are like the Keras tensors ``outputs``."""
        node = Node(self, op, args, kwargs)
        node.outputs = [
            Tensor(node, i, tuple(x.shape), keras.backend.standardize_dtype(x.dtype))
            for i, x in enumerate(outputs)
        ]
        for tensor in node.inputs:
            tensor.users.append(node)
        op.nodes.append(node)
        self.nodes[node] = None
        return node

    def graphs(self) -> Iterator[Graph]:
        """This graph and those of the models nested in it, each once, the inner ones first."""
        seen: set[Graph] = set()

        def walk(graph: Graph) -> Iterator[Graph]:
            if graph not in seen:
                seen.add(graph)
                for node in list(graph.nodes):  # a pass may edit it meanwhile, from the inside
                    inside = node.op.innermost.graph
                    if inside is not None:
                        yield from walk(inside)
                yield graph

        return walk(self)

    @property
    def runs_training(self) -> bool:
        """Whether a call somewhere runs this model with ``training`` on, or may."""
        return self.caller is not None and any(
            node.runs_training or node.graph.runs_training for node in self.caller.calls()
        )

    def is_output(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` is an output of the model."""
        return any(x is tensor for x in tree.flatten(self.outputs))

    def bypass(self, node: Node, source: Tensor | None = None) -> None:
        """Take ``node`` out: who used its output uses ``source``, by default what it transformed.

        Calls that nobody needs any more, such as one that only made a mask for it, go as well.
        """
        source = source or node.data
        assert source is not None
        assert len(node.outputs) == 1
        self.replace_uses(node.outputs[0], source)
        self._remove_unused(node)

    def replace_uses(self, old: Tensor, new: Tensor) -> None:
        """Let everything that uses ``old``, calls and outputs of the graph, use ``new``."""

        def switch(x: Tensor) -> Tensor:
            return new if x is old else x

        for user in set(old.users):
            user.args, user.kwargs = user.map_arguments(switch)
        new.users.extend(old.users)
        old.users = []
        self.outputs = map_tensors(self.outputs, switch)

    def _remove_unused(self, node: Node) -> None:
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if node.is_input or any(x.users or self.is_output(x) for x in node.outputs):
                continue
            for tensor in node.inputs:
                tensor.users.remove(node)
                waiting.append(tensor.node)
            if node in self.nodes:
                node.op.nodes.remove(node)
                del self.nodes[node]
                node.args, node.kwargs = (), {}

    def set_operands(self, node: Node, operands: Tensor | list[Tensor]) -> None:
        """Let ``node`` take these tensors as its only argument."""
        before = node.inputs
        node.args, node.kwargs = (operands,), {}
        for tensor in node.inputs:
            tensor.users.append(node)
        for tensor in before:
            tensor.users.remove(node)
            self._remove_unused(tensor.node)

    def call_layer(self, node: Node, layer: Any, operands: Tensor | list[Tensor]) -> None:
        """Let ``node`` call ``layer``, which is new, on ``operands``.

        Where another layer has its name, it gets another.
        """
        old = node.op
        old.nodes.remove(node)
        same = layer.name == old.name and not old.nodes
        node.op = Op(layer, old.name if same else self._free_name(layer.name, node))
        node.op.nodes = [node]
        self.set_operands(node, operands)

    def put_before(self, node: Node, op: Op, operand: Tensor, outputs: list[Any]) -> list[Tensor]:
        """Let ``op`` be called on ``operand`` just before ``node``; the results, like ``outputs``.

        Its name becomes one that no other layer has.
        """
        op.name = self._free_name(op.name, node)
        new = self.add(op, (operand,), {}, outputs)
        nodes = list(self.nodes)[:-1]
        nodes.insert(nodes.index(node), new)
        self.nodes = dict.fromkeys(nodes)
        return new.outputs

    def give_own_copy(self, node: Node) -> None:
        """Let ``node`` call a copy of its op, so that a change of it stays at this call."""
        old = node.op
        old.nodes.remove(node)
        node.op = old.copy(self._free_name(old.name, node))
        node.op.nodes = [node]

    def _free_name(self, name: str, node: Node) -> str:
        # A name of an output comes back, whichever layer makes the output in the end.
        taken = {x.op.name for x in self.nodes if x is not node} | set(self.output_names)
        names = [name, *(f"{name}_{i}" for i in range(1, len(taken) + 1))]
        return next(name for name in names if name not in taken)
