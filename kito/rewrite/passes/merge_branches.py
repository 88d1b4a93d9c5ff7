"""One convolution for a sum of parallel ones (RepVGG, MobileOne, ACNet, RepLKNet).

Identity: ``sum_i (W_i x + b_i) = (sum_i W_i) x + sum_i b_i``, where each kernel is first put into
the window of the largest one, at the place that its own padding gives it: output ``o`` of branch i
reads the inputs ``o * stride + offset_i + dilation_i * j`` (see :mod:`kito.rewrite.convolution`), and
every one of them must be a tap of the largest branch, the *base*. A kernel with finer groups than
the base's is put into those with zeros between; so a depthwise branch merges into any.

What counts as a branch besides convolutions: the input itself (a kernel of one 1 per channel); an
affine of it, such as a BatchNormalization (its scale as that kernel, its shift as the bias); an
average pooling with ``padding="valid"`` (``same`` is no convolution: it counts real elements only).

Branches are found by what they read, never by name. Each must be linear, seen by the sum alone, and
as large as the sum; their strides must be equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Tensor
from kito.graph.stock import keras_name
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import (
    DENSE,
    DEPTHWISE,
    PADDINGS,
    check_linear,
    grouped_kernel,
    offsets,
    own_kernel,
    regroup,
    windows,
)
from kito.rewrite.legality import Affines, check_movable
from kito.rewrite.numerics import cast
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.passes.absorb_padding import zeros_before
from kito.rewrite.transfer.preconditions import check_bias_axis

Array = np.ndarray[Any, Any]

_POOLINGS = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)


@dataclass(frozen=True)
class Branch:
    """A linear map of ``source`` that a convolution can be.

    Attributes:
        source: what it reads, paddings seen through.
        kernel: (*window, in / groups, out), float64.
        groups: how many.
        bias: (out,), float64; None where there is none.
        offsets, strides, dilations: along each spatial axis.
    """

    source: Tensor
    kernel: Array
    groups: int
    bias: Array | None
    offsets: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]


def run(graph: Graph) -> Outcome:
    """Merge all branches of ``graph``, and of the models nested in it, that can be merged."""
    outcome = Outcome()
    affines = Affines()
    for inner in graph.graphs():
        for node in list(inner.nodes):
            if node in inner.nodes and _is_sum(node):
                rewrite = _merge(inner, node, affines)
                if rewrite is not None:
                    outcome.rewrites.append(rewrite)
    return outcome


def _is_sum(node: Node) -> bool:
    layer = node.op.layer
    return type(layer) is layers.Add or keras_name(type(layer)) == "ops.numpy.Add"


def _merge(graph: Graph, node: Node, affines: Affines) -> Rewrite | None:
    operands = [x for x in keras.tree.flatten(node.args) if isinstance(x, Tensor)]
    if operands != node.inputs or any(x.mask is not None for x in (*operands, *node.outputs)):
        return None
    parallel = [x for x in operands if _has_sibling(x, operands)]
    bases = [(x, branch) for x in parallel if (branch := _convolution(graph, node, x)) is not None]
    # The largest window has room for the others; of equal ones, that of the fewest groups.
    bases.sort(key=lambda x: (-math.prod(x[1].kernel.shape[:-2]), x[1].groups))
    for tensor, base in bases:
        merged: dict[Tensor, Branch] = {}
        for other in operands:
            if other is tensor or operands.count(other) > 1:
                continue
            branch = _branch(graph, node, other, tensor.node, base, affines)
            placed = None if branch is None else _placed(branch, base)
            if branch is not None and placed is not None:
                merged[other] = placed
        if merged and _put(tensor.node, [base, *merged.values()]):
            return _replace(graph, node, operands, tensor, list(merged))
    return None


def _source(tensor: Tensor) -> Tensor | None:
    """What the maker of ``tensor`` reads, paddings seen through."""
    data = tensor.node.data
    padded = data is not None and type(data.node.op.layer) in PADDINGS
    return data.node.data if padded and data is not None else data


def _has_sibling(tensor: Tensor, operands: list[Tensor]) -> bool:
    """Whether another operand is, or reads, what the maker of ``tensor`` reads."""
    source = _source(tensor)
    others = [x for x in operands if x is not tensor]
    return source is not None and any(x is source or _source(x) is source for x in others)


def _seen_by_sum_alone(graph: Graph, node: Node, tensor: Tensor) -> bool:
    alike = (tensor.shape, tensor.dtype) == (node.outputs[0].shape, node.outputs[0].dtype)
    return alike and tensor.users == [node] and not graph.is_output(tensor)


def _convolution(graph: Graph, node: Node, tensor: Tensor) -> Branch | None:
    """The convolution that made ``tensor``, None where it is none or may not be taken."""
    maker = tensor.node
    op, data = maker.op, maker.data
    if type(op.layer) not in (*DENSE, *DEPTHWISE) or not _seen_by_sum_alone(graph, node, tensor):
        return None
    assert data is not None
    try:
        check_linear(maker)
        first = offsets(op, data)
        kernel, groups = grouped_kernel(op)
    except Refused:
        return None
    source, first = _through_padding(maker, data, first)
    bias = op.weight("bias")
    return Branch(
        source,
        kernel,
        groups,
        None if bias is None else bias.astype(np.float64),
        first,
        tuple(x.stride for x in windows(op.layer)),
        tuple(x.dilation for x in windows(op.layer)),
    )


def _through_padding(
    maker: Node, data: Tensor, first: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """What is read before a ZeroPadding, and where the first tap lies in it."""
    pad = data.node
    before = pad.data
    if type(pad.op.layer) not in PADDINGS or before is None or before.dtype != data.dtype:
        return data, first
    if is_channels_first(pad.op.layer) is not is_channels_first(maker.op.layer):
        return data, first
    zeros = zeros_before(pad.op.layer)
    return before, tuple(x - n for x, n in zip(first, zeros, strict=True))


def _branch(
    graph: Graph, node: Node, tensor: Tensor, base_node: Node, base: Branch, affines: Affines
) -> Branch | None:
    """What ``tensor`` is of the base's source, None where it is nothing that can be merged."""
    rank = len(base.strides)
    ones = (1,) * rank
    channels = base.kernel.shape[-2] * base.groups
    if tensor is base.source and tensor.shape == node.outputs[0].shape:
        return _diagonal(tensor, np.ones(channels), None, rank)
    maker = tensor.node
    if not _seen_by_sum_alone(graph, node, tensor) or maker.data is None:
        return None
    if type(maker.op.layer) in _POOLINGS and _reads(maker, base, base_node):
        sizes = tuple(x.size for x in windows(maker.op.layer))
        if maker.op.layer.padding != "valid":
            return None
        kernel = np.full((*sizes, 1, channels), 1.0 / math.prod(sizes))
        strides = tuple(x.stride for x in windows(maker.op.layer))
        return Branch(maker.data, kernel, channels, None, (0,) * rank, strides, ones)
    affine = _affine(maker, affines)
    if affine is not None and maker.data is base.source:
        axis = 1 if is_channels_first(base_node.op.layer) else rank + 1
        try:
            wide = affine.along(axis, channels, maker.op.name)
        except Refused:
            return None
        return _diagonal(maker.data, wide.scale, wide.shift, rank)
    other = _convolution(graph, node, tensor)
    if other is None or other.source is not base.source or len(other.strides) != rank:
        return None
    alike = is_channels_first(maker.op.layer) is is_channels_first(base_node.op.layer)
    return other if alike else None


def _reads(maker: Node, base: Branch, base_node: Node) -> bool:
    alike = is_channels_first(maker.op.layer) is is_channels_first(base_node.op.layer)
    return alike and maker.data is base.source and len(maker.inputs) == 1


def _affine(maker: Node, affines: Affines) -> Affine | None:
    try:
        affine = affines.of(maker)
        if affine is not None:
            check_movable(maker)
    except Refused:
        return None
    return affine


def _diagonal(source: Tensor, scale: Array, shift: Array | None, rank: int) -> Branch:
    """One tap per channel: a depthwise kernel of size 1."""
    kernel = scale.reshape(*[1] * rank, 1, -1)
    ones = (1,) * rank
    return Branch(source, kernel, len(scale), shift, (0,) * rank, ones, ones)


def _placed(branch: Branch, base: Branch) -> Branch | None:
    """The branch with a kernel of the base's shape, or None where it does not fit in."""
    *window, inputs, filters = branch.kernel.shape
    if branch.strides != base.strides or branch.groups % base.groups:
        return None
    if (inputs * branch.groups, filters) != (
        base.kernel.shape[-2] * base.groups,
        base.kernel.shape[-1],
    ):
        return None
    taps = []
    for axis, size in enumerate(window):
        reads = branch.offsets[axis] + branch.dilations[axis] * np.arange(size)
        place, beside = np.divmod(reads - base.offsets[axis], base.dilations[axis])
        if np.any(beside) or place[0] < 0 or place[-1] >= base.kernel.shape[axis]:
            return None
        taps.append(place)
    kernel = np.zeros_like(base.kernel)
    kernel[np.ix_(*taps)] = regroup(branch.kernel, branch.groups, base.groups)
    return Branch(
        branch.source,
        kernel,
        base.groups,
        branch.bias,
        base.offsets,
        base.strides,
        base.dilations,
    )


def _put(node: Node, branches: list[Branch]) -> bool:
    """Give the call's layer the sum of the kernels; whether its dtype can hold that."""
    op = node.op
    biases = [x.bias for x in branches if x.bias is not None]
    with np.errstate(all="ignore"):
        kernel = np.sum([x.kernel for x in branches], axis=0)
        bias = np.sum(biases, axis=0) if biases else None
    try:
        weights = {"kernel": own_kernel(op, kernel)}
        if bias is not None:
            check_bias_axis(op, node.outputs[0].shape)
            dtype = weights["kernel"].dtype
            weights["bias"] = cast(bias, dtype, "bias", op.layer.compute_dtype)
    except Refused:
        return False
    op.change(weights, {} if bias is None else {"use_bias": True})
    return True


def _replace(
    graph: Graph, node: Node, operands: list[Tensor], tensor: Tensor, merged: list[Tensor]
) -> Rewrite:
    """Let the sum do without the merged operands."""
    gone = [x.node.op.name for x in merged if x.users == [node] and not x.node.is_input]
    left = [x for x in operands if x not in merged]
    if len(left) > 1:
        graph.set_operands(node, left)
    else:
        gone.append(node.op.name)
        graph.bypass(node, tensor)
    return Rewrite("merge_branches", tuple(gone), tensor.node.op.name)
