"""Sink a bias into layers that have a bias already: one addition fewer.

Identity: ``(U x + a) + (V y + b) = U x + (V y + (a + b))``. A bias is a shift, so it goes wherever
a shift may be sunk.
"""

from __future__ import annotations

from kito.graph.ir import Graph, Node
from kito.rewrite.affine import Refused
from kito.rewrite.legality import Affines, check_changeable, check_size
from kito.rewrite.outcome import Rewrite
from kito.rewrite.propagation import Propagation
from kito.rewrite.transfer import transfer_of


def sink_biases(graph: Graph, affines: Affines, pass_name: str) -> list[Rewrite]:
    """Sink every bias that other biases can absorb."""
    rewrites = []
    for inner in graph.graphs():
        for node in list(inner.nodes):
            try:
                into = _sink_bias(affines, node)
            except Refused:
                continue
            if into is not None:
                rewrites.append(Rewrite(pass_name, (), into))
    return rewrites


def _sink_bias(affines: Affines, node: Node) -> str | None:
    """The names of the layers that absorbed the bias of this one; None where it has none."""
    op, source = node.op, node.data
    if source is None or op.innermost.graph is not None or len(op.innermost.calls()) > 1:
        return None
    check_changeable(op)
    result = node.outputs[0]
    shift = transfer_of(op).own_shift(op, len(result.shape))
    if shift is None or not shift.shifts or op.layer.compute_dtype != result.dtype:
        return None
    check_size(node, shift)
    propagation = Propagation(affines, biased=True)
    propagation.start(node)
    propagation.sink(result, shift)
    into = propagation.plan.apply(affines)
    op.innermost.change({"bias": None}, {"use_bias": False})
    return into
