"""Which layers of an original and its reduced model should have the same output.

A layer of the reduced model is matched with its namesake in the original and with the layers after
it that have vanished: a convolution that absorbed a normalization has the normalization's output.
Custom layers and subclassed models are inlined where possible, and the layers inside are matched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras

from kito.graph.interpret import Interpreter, Result, calls
from kito.graph.ir import Graph, Node, Op
from kito.graph.keras_internals import all_layers
from kito.graph.names import within
from kito.graph.read import read_graph
from kito.graph.torch_model import TorchModel, to_array
from kito.rewrite.inline.sweep import read_inlined

if TYPE_CHECKING:
    from kito.graph.torch.walk import Steps

_PADDING = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
"""Layers that vanish into the layer after them; the layer before them keeps its output."""


@dataclass(frozen=True)
class Calls:
    """The calls of a model.

    Attributes:
        graph: the calls, with those inside layers that can be inlined.
        nameless: the ops that inlining made; their names differ from run to run.
    """

    graph: Graph
    nameless: frozenset[Op]

    def walk(self, inputs: list[Any]) -> Iterator[Result]:
        """Run them, as :meth:`kito.graph.interpret.Interpreter.walk` does."""
        return Interpreter(self.graph).walk(inputs)


@dataclass(frozen=True)
class ModuleCalls(Calls):
    """The calls of a PyTorch module; those of functions are nameless.

    Attributes:
        model: the module as a model.
        steps: its calls, as they were traced.
    """

    model: TorchModel
    steps: Steps

    def walk(self, inputs: list[Any]) -> Iterator[Result]:
        for made in self.steps.walk(list(self.model.tensors(inputs))):
            yield replace(made, value=to_array(made.value))


def read_calls(model: Any) -> Calls:
    """The calls of a model, under the names that its reduced model has.

    Raises:
        NotTraced: it is a PyTorch module that cannot be traced as a whole.
    """
    if isinstance(model, TorchModel):
        from kito.graph.torch.walk import read_steps

        steps = read_steps(model.frozen, model.tensors(list(model.examples.values())))
        return ModuleCalls(steps.graph, steps.functions, model, steps)
    known = {id(layer) for layer in all_layers(model)}
    before = read_graph(model)
    known |= {id(node.op.layer) for inner in before.graphs() for node in inner.nodes}
    graph = read_inlined(model).graph
    ops = {node.op for inner in graph.graphs() for node in inner.nodes}
    whole = [node.op for node in before.nodes if not node.is_input]
    if len(whole) == 1 and isinstance(whole[0].layer, keras.Model) and whole[0].graph is None:
        for op in ops:  # the functional form of a subclassed model, which is reduced without it
            op.name = op.name.removeprefix(within(whole[0].name, ""))
    return Calls(graph, frozenset(op for op in ops if id(op.layer) not in known))


def match_layers(original: Calls, reduced: Calls) -> dict[str, set[str]]:
    """By layer of the reduced model, the layers of the original whose output it may have.

    That is its namesake, or the last layer of the chain after it that has vanished; also the last
    one before a padding, since a padding can vanish into the layer after it. An operation may have
    another name in the reduced model; whether it has vanished is then unknown, and the layers
    before and after it both count. Reduction may copy a layer that is called at several places: the
    copy ``conv_1`` is matched as ``conv``.

    Args:
        original: the calls of the original.
        reduced: the calls of the reduced model.
    """
    named = [(path, node) for path, node in calls(original.graph) if _named(node, original)]
    count = Counter(path for path, _ in named)
    names = {path for path, node in calls(reduced.graph) if _named(node, reduced)}
    renamed = any(path not in count for path, _ in calls(reduced.graph))
    matches: dict[str, set[str]] = {}
    for path, node in named:
        before = path.removesuffix(node.op.name)
        last, tensor = path, node.outputs[0]
        ends = matches.setdefault(path, set())
        while len(tensor.users) == 1:
            user = tensor.users[0]
            if _named(user, original) and before + user.op.name in names:
                break
            if isinstance(user.op.layer, _PADDING):
                ends.add(last)
            if renamed and (
                user.op in original.nameless or not isinstance(user.op.layer, keras.Layer)
            ):
                ends.add(last)
            last, tensor = before + user.op.name, user.outputs[0]
        ends.add(last)
    for path in names - set(matches):
        copied = re.sub(r"_\d+$", "", path)
        if count[copied] > 1:
            matches[path] = matches[copied]
    return {path: matches[path] for path in names if path in matches}


def _named(node: Node, model: Calls) -> bool:
    return node.op not in model.nameless
