"""One convolution for a sum of parallel ones (RepVGG, MobileOne, ACNet, RepLKNet).

Identity: ``sum_i (W_i x + b_i) = (sum_i W_i) x + sum_i b_i``, where each kernel is first put into
the window of the largest one, at the place that its own padding gives it: output ``o`` of branch i
reads the inputs ``o * stride + offset_i + dilation_i * j`` (see :mod:`kito.rewrite.convolution`),
and every one of them must be a tap of the largest branch, the *base*. A kernel with finer groups
than the base's is put into those with zeros between; so a depthwise branch merges into any.

What counts as a branch besides convolutions: the input itself (a kernel of one 1 per channel); an
affine of it, such as a BatchNormalization (its scale as that kernel, its shift as the bias); an
average pooling with ``padding="valid"`` (``same`` is no convolution: it counts real elements only).

Branches are found by what they read, never by name. Each must be linear, have no user but the sum,
and have the shape of the sum; their strides must be equal.
"""

from __future__ import annotations

import math

import numpy as np

from kito.graph.ir import Graph, Node, Tensor
from kito.rewrite.affine import Refused
from kito.rewrite.convolution import PADDINGS, own_kernel
from kito.rewrite.legality import Affines
from kito.rewrite.numerics import cast
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.passes.merge_branches.branches import (
    Base,
    Branch,
    Sum,
    branch_of,
    convolution,
    placed,
)
from kito.rewrite.transfer.merging import is_sum
from kito.rewrite.transfer.preconditions import check_bias_axis


def run(graph: Graph) -> Outcome:
    """Merge all branches of ``graph``, and of the models nested in it, that can be merged."""
    outcome = Outcome()
    affines = Affines()
    for inner in graph.graphs():
        for node in list(inner.nodes):
            if node in inner.nodes and is_sum(node.op):
                rewrite = _merge(inner, node, affines)
                if rewrite is not None:
                    outcome.rewrites.append(rewrite)
    return outcome


def _merge(graph: Graph, node: Node, affines: Affines) -> Rewrite | None:
    """Merge what can be merged of the operands of one sum."""
    operands = node.operands
    if operands != node.inputs or any(x.mask is not None for x in (*operands, *node.outputs)):
        return None
    total = Sum(graph, node, affines)
    parallel = [x for x in operands if _has_sibling(x, operands)]
    bases = [(x, branch) for x in parallel if (branch := convolution(total, x)) is not None]
    # The largest window has room for the others; of equal ones, that of the fewest groups.
    bases.sort(key=lambda x: (-math.prod(x[1].kernel.shape[:-2]), x[1].groups))
    for tensor, branch in bases:
        base = Base(branch, tensor.node)
        merged = _mergeable(total, operands, tensor, base)
        if merged and _set_weights(tensor.node, [branch, *merged.values()]):
            return _replace(graph, node, operands, tensor, list(merged))
    return None


def _mergeable(
    total: Sum, operands: list[Tensor], tensor: Tensor, base: Base
) -> dict[Tensor, Branch]:
    """The operands that can be merged into ``base``, which made ``tensor``, as its taps."""
    merged: dict[Tensor, Branch] = {}
    for other in operands:
        if other is tensor or operands.count(other) > 1:
            continue
        branch = branch_of(total, other, base)
        fitted = None if branch is None else placed(branch, base.branch)
        if fitted is not None:
            merged[other] = fitted
    return merged


def _source(tensor: Tensor) -> Tensor | None:
    """What the maker of ``tensor`` reads, before a padding."""
    data = tensor.node.data
    padded = data is not None and type(data.node.op.layer) in PADDINGS
    return data.node.data if padded and data is not None else data


def _has_sibling(tensor: Tensor, operands: list[Tensor]) -> bool:
    """Whether another operand is, or reads, what the maker of ``tensor`` reads."""
    source = _source(tensor)
    others = [x for x in operands if x is not tensor]
    return source is not None and any(x is source or _source(x) is source for x in others)


def _set_weights(node: Node, branches: list[Branch]) -> bool:
    """Give the layer of a call the sums of kernels and biases; False where its dtype cannot."""
    op = node.op
    biases = [x.bias for x in branches if x.bias is not None]
    with np.errstate(all="ignore"):
        kernel = np.sum([x.kernel for x in branches], axis=0)
        bias = np.sum(biases, axis=0) if biases else None
    try:
        own = own_kernel(op, kernel)
        weights = {"kernel": own}
        if bias is not None:
            check_bias_axis(op, node.outputs[0].shape)
            weights["bias"] = cast(bias, own.dtype, "bias", op.layer.compute_dtype)
    except Refused:
        return False
    op.change(weights, {} if bias is None else {"use_bias": True})
    return True


def _replace(
    graph: Graph, node: Node, operands: list[Tensor], tensor: Tensor, merged: list[Tensor]
) -> Rewrite:
    """Remove the merged operands from the sum."""
    removed = [x.node.op.name for x in merged if x.users == [node] and not x.node.is_input]
    remaining = [x for x in operands if x not in merged]
    if len(remaining) > 1:
        graph.set_operands(node, remaining)
    else:
        removed.append(node.op.name)
        graph.bypass(node, tensor)
    return Rewrite("merge_branches", tuple(removed), tensor.node.op.name)
