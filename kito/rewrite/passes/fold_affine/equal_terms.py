"""A sum of equal terms is an affine of one of them: ``f(x) + f(x) = 2 * f(x)``.

Terms are equal where they are one tensor, or results of layers of one kind with equal settings, no
weights and the same input. NASNet adds two average poolings of one tensor in each of its cells.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Graph, Node, Tensor
from kito.rewrite.outcome import Rewrite
from kito.rewrite.transfer import transfer_of
from kito.rewrite.transfer.merging import is_sum
from kito.rewrite.transfer.pass_through import Through


def replace_equal_sums(graph: Graph, pass_name: str) -> list[Rewrite]:
    """Replace each sum of equal terms in ``graph`` by a ``Rescaling`` of one term."""
    rewrites = []
    for node in list(graph.nodes):
        operands = _equal_operands(node) if node in graph.nodes else []
        if len(operands) > 1:
            names = dict.fromkeys(x.node.op.name for x in operands)
            multiple = layers.Rescaling(float(len(operands)), name=node.op.name, dtype="float32")
            first = operands[0]
            removed = (*[name for name in names if name != first.node.op.name], node.op.name)
            graph.call_layer(node, multiple, first)
            rewrites.append(Rewrite(pass_name, removed, node.op.name))
    return rewrites


def _equal_operands(node: Node) -> list[Tensor]:
    """The terms of the call if it is a sum of equal terms; otherwise an empty list."""
    if not is_sum(node.op):
        return []
    operands = node.operands
    plain = operands == node.inputs and not node.runs_training
    masked = any(x.mask is not None for x in (*operands, *node.outputs))
    if not plain or masked or {x.dtype for x in (*operands, *node.outputs)} != {"float32"}:
        return []
    return operands if all(_equal(x, operands[0]) for x in operands) else []


def _equal(one: Tensor, other: Tensor) -> bool:
    if one is other:
        return True
    a, b = one.node, other.node
    kind = type(a.op.layer)
    if kind is not type(b.op.layer) or not isinstance(transfer_of(a.op), Through):
        return False
    if a.op.layer.weights or a.op.config or b.op.config or a.runs_training or b.runs_training:
        return False
    if a.data is None or a.data is not b.data or not len(a.inputs) == len(b.inputs) == 1:
        return False
    return a.op.settings() == b.op.settings()
