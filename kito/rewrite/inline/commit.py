"""From scratch to the graph: a layer's body takes the place of its call.

Bodies are read with scratch ops, so that a failed attempt leaves nothing behind. Once every call of
a layer has a verified body, :func:`adopt` lets the bodies call the ops of the model's graph, and
:func:`splice` puts each body in the place of its call.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from kito.graph.ir import Graph, Node, Tensor, map_tensors
from kito.graph.read import Ops


def adopt(scratch: Ops, known: Ops) -> None:
    """Let calls of scratch ops be calls of the known ops of the same layers.

    Ops of layers that are not known yet are added to ``known``, with the models that they hold.
    """
    added = dict.fromkeys(key for key in scratch if key not in known)
    for key, op in scratch.items():
        if key in added:
            known[key] = op
            continue
        if op.inner is not None:
            op.inner.wrappers.remove(op)
        for node in op.nodes:
            caller = node.graph.caller
            # The model's graph holds the calls in a known model already.
            if caller is None or id(caller.layer) in added:
                node.op = known[key]
                known[key].nodes.append(node)
    for key in added:
        op = known[key]
        if op.inner is not None and known[id(op.inner.layer)] is not op.inner:
            op.inner = known[id(op.inner.layer)]
            op.inner.wrappers.append(op)


def splice(node: Node, body: Graph) -> list[Node]:
    """Put the calls of ``body`` in the place of ``node``; returns them.

    The inputs of ``body`` stand for the tensors that ``node`` takes, each once, in order.
    """
    graph = node.graph
    sources: dict[Tensor, Tensor] = dict(zip(body.inputs, dict.fromkeys(node.inputs), strict=True))

    def enter(x: Tensor) -> Tensor:
        return sources.get(x, x)

    calls = [x for x in body.nodes if not x.is_input]
    for tensor in node.inputs:
        tensor.users.remove(node)
    for inner, source in sources.items():
        source.users += inner.users
        inner.node.op.nodes.remove(inner.node)
    for call in calls:
        call.graph = graph
        call.args, call.kwargs = call.map_arguments(enter)
    results = tree.flatten(map_tensors(body.outputs, enter))
    for old, new in zip(node.outputs, results, strict=True):
        graph.replace_uses(old, new)
    node.op.nodes.remove(node)
    order = list(graph.nodes)
    at = order.index(node)
    order[at : at + 1] = calls
    graph.nodes = dict.fromkeys(order)
    graph.sequential = graph.sequential and _is_chain(graph)
    return calls


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
