"""Drop the layers that do nothing in inference.

Identity: ``layer(x, training=False) = x``, for the layers that :mod:`kito.rewrite.identity` lists.
It holds only where the call casts nothing (the dtype of the result is that of the input), leaves
the mask of its input alone, and is not made with ``training=True``. A layer that names an output of
the model stays.
"""

from __future__ import annotations

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
    source = node.data
    if source is None or len(node.outputs) != 1 or node.runs_training:
        return False
    result = node.outputs[0]
    if source.dtype != result.dtype or source.shape != result.shape or node.changes_mask:
        return False
    if not graph.is_output(result):
        return True
    if graph.sequential:  # a model needs a layer besides its Input
        return len(graph.nodes) > 2
    return graph.caller is not None and not source.node.is_input
