"""Drop the layers that do nothing in inference.

Identity: ``layer(x, training=False) = x``, for the layers that :mod:`kito.rewrite.identity` lists.
It holds only where the call casts nothing (the dtype of the result is that of the input), leaves
the mask of its input alone, and is not made with ``training=True``.

Where such a layer returns an output of the model, the model is built with an ``Identity`` of its
name in its place, so that the output keeps the name. It stays where that gains nothing, where it
returns an input of the model, and where another call of the layer stays.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Graph, Node
from kito.rewrite.identity import is_identity
from kito.rewrite.outcome import Outcome, Rewrite


def run(graph: Graph) -> Outcome:
    """Drop every identity of ``graph`` and of the models nested in it."""
    outcome = Outcome()
    dropped: dict[str, None] = {}
    for inner in graph.graphs():
        if inner.runs_training:
            continue
        for node in list(inner.nodes):
            if is_identity(node.op.innermost.layer) and _can_be_dropped(inner, node):
                inner.bypass(node)
                dropped[node.op.name] = None
    outcome.rewrites = [Rewrite("drop_identity", (name,)) for name in dropped]
    return outcome


def _can_be_dropped(graph: Graph, node: Node) -> bool:
    if not _returns_its_data(node):
        return False
    if not graph.is_output(node.outputs[0]):
        return True
    if graph.sequential:  # a model needs a layer besides its Input
        return len(graph.nodes) > 2
    if _reads_input(node):
        return False
    if graph.caller is not None or not graph.output_names:  # no name is to be kept
        return True
    if type(node.op.layer) is layers.Identity or type(node.op.layer) is layers.Activation:
        return False
    # A layer that stays at another call would have the name of the Identity.
    others = [x for x in node.op.nodes if x.graph is graph]
    return all(
        _returns_its_data(x) and not (graph.is_output(x.outputs[0]) and _reads_input(x))
        for x in others
    )


def _returns_its_data(node: Node) -> bool:
    """Whether the call returns its data as it is, with its dtype, shape and mask."""
    source = node.data
    if source is None or len(node.outputs) != 1 or node.runs_training:
        return False
    result = node.outputs[0]
    same = source.dtype == result.dtype and source.shape == result.shape
    return same and not node.changes_mask


def _reads_input(node: Node) -> bool:
    return node.data is not None and node.data.node.is_input
