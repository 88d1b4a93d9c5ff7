"""Operands of a sum as branches: linear maps that a convolution can compute.

Each kind of operand has a function of its own: :func:`convolution`, :func:`identity`,
:func:`affine` and :func:`average_pooling`. Each returns None where the operand is not of its kind,
or cannot be merged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Tensor
from kito.rewrite.affine import Array, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import (
    DENSE,
    DEPTHWISE,
    PADDINGS,
    check_linear,
    grouped_kernel,
    offsets,
    regroup,
    windows,
    zeros_before,
)
from kito.rewrite.legality import Affines, check_movable

_POOLINGS = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)


@dataclass(frozen=True)
class Branch:
    """A linear map of ``source`` that a convolution can compute.

    Attributes:
        source: what it reads; a padding counts as part of the branch.
        kernel: (*window, in / groups, out), float64.
        groups: the number of groups.
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

    @property
    def inputs(self) -> int:
        """The number of input channels."""
        return int(self.kernel.shape[-2]) * self.groups

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.strides)


@dataclass(frozen=True)
class Sum:
    """A sum whose operands may be branches.

    Attributes:
        graph: the graph in which it is.
        node: its call.
        affines: the affines of the graph.
    """

    graph: Graph
    node: Node
    affines: Affines

    def is_only_user(self, tensor: Tensor) -> bool:
        """Whether nothing but this sum uses ``tensor``, and it has the size of the sum."""
        result = self.node.outputs[0]
        alike = (tensor.shape, tensor.dtype) == (result.shape, result.dtype)
        return alike and tensor.users == [self.node] and not self.graph.is_output(tensor)


@dataclass(frozen=True)
class Base:
    """The branch into which others are merged, and the call of the convolution that it is."""

    branch: Branch
    node: Node

    def has_layout_of(self, node: Node) -> bool:
        """Whether both calls have the channels on the same axis."""
        return is_channels_first(node.op.layer) is is_channels_first(self.node.op.layer)


def branch_of(total: Sum, operand: Tensor, base: Base) -> Branch | None:
    """The map from the source of ``base`` to an operand of ``total``; None where none is known."""
    if operand is base.branch.source and operand.shape == total.node.outputs[0].shape:
        return identity(base)
    maker = operand.node
    if not total.is_only_user(operand) or maker.data is None:
        return None
    if type(maker.op.layer) in _POOLINGS:
        return average_pooling(maker, base)
    return affine(maker, base, total.affines) or _parallel_convolution(total, operand, base)


def identity(base: Base) -> Branch:
    """The source of ``base`` itself: a kernel of one 1 per channel."""
    return _diagonal(base, np.ones(base.branch.inputs), None)


def affine(maker: Node, base: Base, affines: Affines) -> Branch | None:
    """An affine of the source, such as a BatchNormalization: scale as kernel, shift as bias."""
    if maker.data is not base.branch.source:
        return None
    axis = 1 if is_channels_first(base.node.op.layer) else base.branch.rank + 1
    try:
        scaled = affines.of(maker)
        if scaled is None:
            return None
        check_movable(maker)
        wide = scaled.along(axis, base.branch.inputs, maker.op.name)
    except Refused:
        return None
    return _diagonal(base, wide.scale, wide.shift)


def average_pooling(maker: Node, base: Base) -> Branch | None:
    """An average pooling with ``padding="valid"``: a depthwise kernel of equal elements.

    With ``same`` it is no convolution: it divides by the number of elements inside the tensor.
    """
    source, layer = base.branch.source, maker.op.layer
    if maker.data is not source or len(maker.inputs) != 1 or not base.has_layout_of(maker):
        return None
    if layer.padding != "valid":
        return None
    along, channels = windows(maker.op), base.branch.inputs
    sizes = tuple(x.size for x in along)
    kernel = np.full((*sizes, 1, channels), 1.0 / math.prod(sizes))
    strides = tuple(x.stride for x in along)
    rank = base.branch.rank
    return Branch(source, kernel, channels, None, (0,) * rank, strides, (1,) * rank)


def convolution(total: Sum, operand: Tensor) -> Branch | None:
    """The convolution or depthwise convolution that made an operand of ``total``."""
    maker = operand.node
    op, data = maker.op, maker.data
    if type(op.layer) not in (*DENSE, *DEPTHWISE) or not total.is_only_user(operand):
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
        tuple(x.stride for x in windows(op)),
        tuple(x.dilation for x in windows(op)),
    )


def _parallel_convolution(total: Sum, operand: Tensor, base: Base) -> Branch | None:
    """The convolution that made ``operand``, where it reads what ``base`` reads."""
    other = convolution(total, operand)
    if other is None or other.source is not base.branch.source or other.rank != base.branch.rank:
        return None
    return other if base.has_layout_of(operand.node) else None


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


def _diagonal(base: Base, scale: Array, shift: Array | None) -> Branch:
    """One tap per channel: a depthwise kernel of size 1 on the source of ``base``."""
    rank = base.branch.rank
    kernel = scale.reshape(*[1] * rank, 1, -1)
    ones = (1,) * rank
    return Branch(base.branch.source, kernel, len(scale), shift, (0,) * rank, ones, ones)


def placed(branch: Branch, base: Branch) -> Branch | None:
    """The branch with a kernel of the shape of ``base``; None where its taps do not fit in."""
    *window, _, filters = branch.kernel.shape
    if branch.strides != base.strides or branch.groups % base.groups:
        return None
    if (branch.inputs, filters) != (base.inputs, base.kernel.shape[-1]):
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
    return replace(base, source=branch.source, kernel=kernel, bias=branch.bias)
