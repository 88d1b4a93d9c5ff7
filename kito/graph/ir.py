"""The editable graph of a model. The live Keras objects in it are read, and never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.graph.names import free_name
from kito.graph.stock import named_weights, to_array, trains_by_default


class Tensor:
    """One tensor of a graph: output ``index`` of the call ``node``.

    Attributes:
        users: the calls that take it, one entry per use: twice for a call that takes it twice.
        mask: the Keras mask that accompanies it; None if there is none.
        measured: its shape in a run of the model on random samples; None without such a run.
    """

    __slots__ = ("dtype", "index", "mask", "measured", "node", "shape", "users")

    def __init__(self, node: Node, index: int, shape: tuple[int | None, ...], dtype: str) -> None:
        self.node, self.index, self.shape, self.dtype = node, index, shape, dtype
        self.users: list[Node] = []
        self.mask: Any = None
        self.measured: tuple[int, ...] | None = None


class Op:
    """A layer, a ``keras.ops`` operation or a nested model; one ``Op`` for all its calls.

    Attributes:
        layer: the live Keras object of the original model.
        name: the name of the layer in the rebuilt model.
        nodes: its direct calls, in every graph of the model.
        graph: the calls inside, where ``layer`` is a functional or Sequential model.
        inner: what ``layer`` wraps, where it is a ``TimeDistributed``.
        wrappers: the ops that have it as their ``inner``.
        weights: new values that passes set, by variable name; None for a removed variable.
        config: constructor arguments that passes changed.
        closed: why a layer that contains layers is not inlined; None for any other layer.
        fixed: why passes may not change its weights and configuration; None if they may.
        runtime: what computes its calls: ``keras`` or ``torch``.
    """

    def __init__(self, layer: Any, name: str) -> None:
        self.layer, self.name, self.runtime = layer, name, "keras"
        self.nodes: list[Node] = []
        self.graph: Graph | None = None
        self.inner: Op | None = None
        self.wrappers: list[Op] = []
        self.weights: dict[str, np.ndarray | None] = {}
        self.config: dict[str, Any] = {}
        self.closed: str | None = None
        self.fixed: str | None = None

    @property
    def type_name(self) -> str:
        """The class of the layer."""
        return type(self.layer).__name__

    @property
    def innermost(self) -> Op:
        """The op inside all wrappers; the op itself if it wraps nothing."""
        return self if self.inner is None else self.inner.innermost

    def calls(self) -> list[Node]:
        """The calls of this op, including those through a wrapper."""
        return self.nodes + [node for wrapper in self.wrappers for node in wrapper.calls()]

    def weight(self, name: str) -> np.ndarray | None:
        """The current value of the variable of this name; None if there is none."""
        if name in self.weights:
            return self.weights[name]
        variable = named_weights(self.layer).get(name)
        return None if variable is None else to_array(variable)

    def setting(self, name: str, default: Any = None) -> Any:
        """The current value of a constructor argument; ``default`` if the layer has none."""
        return self.config.get(name, getattr(self.layer, name, default))

    def settings(self) -> dict[str, Any]:
        """All settings of the layer but its name."""
        return {key: x for key, x in self.layer.get_config().items() if key != "name"}

    def change(self, weights: Mapping[str, np.ndarray | None], config: Mapping[str, Any]) -> None:
        """Set weights (by variable name; None removes one) and constructor arguments."""
        self.weights.update(weights)
        self.config.update(config)

    def become(self, layer: Any, weights: Mapping[str, np.ndarray | None]) -> None:
        """Replace the layer, in all calls, by ``layer``, which is new and gets these weights."""
        self.layer, self.weights, self.config = layer, {}, {}
        self.change(weights, {})

    def copy(self, name: str) -> Op:
        """The same layer with the same changes, under another name; nothing calls it yet."""
        new = Op(self.layer, name)
        new.weights, new.config, new.fixed = dict(self.weights), dict(self.config), self.fixed
        if self.inner is not None:
            new.inner = self.inner.copy(self.inner.name)
            new.inner.wrappers = [new]
        return new


def map_tensors(structure: Any, f: Callable[[Tensor], Any]) -> Any:
    """The same structure with ``f(tensor)`` in place of each :class:`Tensor`."""
    return tree.map_structure(lambda x: f(x) if isinstance(x, Tensor) else x, structure)


class Node:
    """One call: ``op(*args, **kwargs)``, with a :class:`Tensor` for each symbolic tensor."""

    __slots__ = ("args", "graph", "kwargs", "op", "outputs")

    def __init__(self, graph: Graph, op: Op, args: Any, kwargs: dict[str, Any]) -> None:
        self.graph, self.op, self.args, self.kwargs = graph, op, args, kwargs
        self.outputs: list[Tensor] = []

    def map_arguments(self, f: Callable[[Tensor], Any]) -> tuple[Any, ...]:
        """(args, kwargs) with ``f(tensor)`` in place of each tensor; the node is not changed."""
        return tuple(map_tensors([self.args, self.kwargs], f))

    def set_op(self, op: Op) -> None:
        """Make this a call of ``op``."""
        self.op.nodes.remove(self)
        self.op = op
        op.nodes.append(self)

    @property
    def inputs(self) -> list[Tensor]:
        """Every tensor that the call takes, including keyword arguments."""
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, Tensor)]

    @property
    def operands(self) -> list[Tensor]:
        """The tensors among its positional arguments, alone or in lists."""
        return [x for x in tree.flatten(self.args) if isinstance(x, Tensor)]

    @property
    def data(self) -> Tensor | None:
        """The tensor that it transforms: the first argument, ``inputs``, or ``x`` in ``2 * x``."""
        first = self.args[0] if self.args else self.kwargs.get("inputs")
        if isinstance(first, Tensor):
            return first
        inputs = self.inputs
        alone = len(inputs) == 1 and not isinstance(self.op.layer, keras.layers.Layer)
        return inputs[0] if alone else None

    @property
    def changes_mask(self) -> bool:
        """Whether its result has another mask than its data."""
        return self.data is None or any(x.mask is not self.data.mask for x in self.outputs)

    @property
    def is_input(self) -> bool:
        """Whether it stands for an input of the model."""
        return isinstance(self.op.layer, keras.layers.InputLayer)

    @property
    def runs_training(self) -> bool:
        """Whether the call requests training mode, or may request it: by a tensor, say.

        Keras also records the default of the layer's signature, which the user did not request.
        """
        training = self.kwargs.get("training")
        if not isinstance(training, bool | int | None):
            return True
        return bool(training) and not trains_by_default(self.op.innermost.layer.__class__)


class Graph:
    """The calls of one functional or Sequential model in topological order.

    Attributes:
        model: the Keras model that was read.
        caller: the op of the model, if it is nested in another model; None for the outermost.
        nodes: its calls; a dict, because it is ordered and removal is cheap.
        inputs, outputs: structures (single, list, dict) of :class:`Tensor`, like the model's own.
        output_names: the names of the model's outputs, flat; empty if they need not be kept.
    """

    def __init__(self, model: Any, caller: Op | None) -> None:
        self.model, self.caller = model, caller
        self.sequential = isinstance(model, keras.Sequential)
        self.nodes: dict[Node, None] = {}
        self.inputs: Any = None
        self.outputs: Any = None
        self.output_names: list[str] = []

    def add(self, op: Op, args: Any, kwargs: dict[str, Any], outputs: list[Any]) -> Node:
        """Append a call with results of the shapes and dtypes of ``outputs``, Keras tensors."""
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
        """This graph and the graphs of nested models, each once, inner ones first."""
        seen: set[Graph] = set()

        def walk(graph: Graph) -> Iterator[Graph]:
            if graph not in seen:
                seen.add(graph)
                for node in list(graph.nodes):  # a pass may edit it during the iteration
                    if (inside := node.op.innermost.graph) is not None:
                        yield from walk(inside)
                yield graph

        return walk(self)

    @property
    def runs_training(self) -> bool:
        """Whether any call runs this nested model in training mode, or may."""
        return self.caller is not None and any(
            node.runs_training or node.graph.runs_training for node in self.caller.calls()
        )

    def is_output(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` is an output of the model."""
        return any(x is tensor for x in tree.flatten(self.outputs))

    def bypass(self, node: Node, source: Tensor | None = None) -> None:
        """Remove ``node`` and what is unused then; its users take ``source``, or else its data."""
        source = source or node.data
        assert source is not None
        assert len(node.outputs) == 1
        self.replace_uses(node.outputs[0], source)
        self._remove_unused(node)

    def replace_uses(self, old: Tensor, new: Tensor) -> None:
        """Replace ``old`` by ``new`` in all calls and in the outputs of the graph."""
        for user in set(old.users):
            user.args, user.kwargs = user.map_arguments(lambda x: new if x is old else x)
        new.users.extend(old.users)
        old.users = []
        self.outputs = map_tensors(self.outputs, lambda x: new if x is old else x)

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
        """Make these tensors the only argument of ``node``."""
        before = node.inputs
        node.args, node.kwargs = (operands,), {}
        for tensor in node.inputs:
            tensor.users.append(node)
        for tensor in before:
            tensor.users.remove(node)
            self._remove_unused(tensor.node)

    def call_layer(self, node: Node, layer: Any, operands: Tensor | list[Tensor]) -> None:
        """Make ``node`` call the new ``layer``, under a free name, on ``operands``."""
        keeps_name = layer.name == node.op.name and node.op.nodes == [node]
        node.set_op(Op(layer, layer.name if keeps_name else self._free_name(layer.name, node)))
        self.set_operands(node, operands)

    def put_before(self, node: Node, op: Op, operands: Any, outputs: list[Any]) -> list[Tensor]:
        """Insert ``op(operands)``, under a free name, before ``node``; results like ``outputs``."""
        op.name = self._free_name(op.name, node)
        new = self.add(op, (operands,), {}, outputs)
        nodes = list(self.nodes)[:-1]
        nodes.insert(nodes.index(node), new)
        self.nodes = dict.fromkeys(nodes)
        return new.outputs

    def give_own_copy(self, node: Node) -> None:
        """Make ``node`` call a copy of its op, so that a change affects only this call."""
        node.set_op(node.op.copy(self._free_name(node.op.name, node)))

    def _free_name(self, name: str, node: Node) -> str:
        # The rebuilt model uses the names of outputs, whichever layers make the outputs then.
        taken = {x.op.name for x in self.nodes if x is not node} | set(self.output_names)
        return free_name(name, taken)
