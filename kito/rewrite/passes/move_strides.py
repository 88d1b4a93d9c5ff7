"""Strides move up, so that positions which nobody reads are not computed.

A convolution with a window of one element and a stride, or such a pooling, reads every ``s``-th
position of its input. Where all that read a tensor do so, only these positions are computed:

- ``f(x)[::s] = f(x[::s])`` for functions of one position: activations, affines of channels, sums;
- output ``o * s`` of a convolution with stride a reads from ``o * s * a`` on: that is the same
  convolution with stride ``a * s``, on an input that is padded as for stride a.

The readers then have stride 1. Where a sum has another operand, which others read whole, a pooling
of one element takes its positions. ResNets (with the stride in the first convolution of a block)
compute the last block of each stage at a quarter of the positions: ResNet50 takes 10 % fewer
multiplications.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Op, Tensor
from kito.rewrite.affine import Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import DENSE, DEPTHWISE, check_linear, windows
from kito.rewrite.legality import check_changeable
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.transfer.preconditions import ELEMENTWISE

_POOLINGS = (
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
)
_SUBSAMPLING = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
_PADDING = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
_ACTIVATIONS = (layers.ReLU, layers.LeakyReLU, layers.ELU)
_COMBINATIONS = (
    *(layers.Add, layers.Subtract, layers.Multiply),
    *(layers.Average, layers.Maximum, layers.Minimum),
)
Strides = tuple[int, ...]


@dataclass
class _Plan:
    """What changes so that a tensor is computed at every so many positions only."""

    convolutions: list[Node] = field(default_factory=list)
    """Those whose strides grow."""
    pointwise: list[Node] = field(default_factory=list)
    """Calls that take and return fewer positions."""
    subsampled: list[tuple[Node, Tensor]] = field(default_factory=list)
    """Calls, and tensors of which they read fewer positions while others read all."""


def run(graph: Graph) -> Outcome:
    """Move all strides of ``graph``, and of the models nested in it, up as far as they go."""
    outcome = Outcome()
    for inner in graph.graphs():
        moved = True
        while moved:  # what has moved to a pointwise convolution may move on
            found = [x for node in list(inner.nodes) if (x := _move(inner, node)) is not None]
            outcome.rewrites += found
            moved = bool(found)
    return outcome


def _move(graph: Graph, node: Node) -> Rewrite | None:
    """Compute the result of a call at fewer positions, if all that read it skip the others."""
    if node not in graph.nodes or len(node.outputs) != 1 or graph.is_output(node.outputs[0]):
        return None
    readers = list(dict.fromkeys(node.outputs[0].users))
    found = {_skipped(reader) for reader in readers}
    strides = found.pop() if len(found) == 1 else None
    plan = _Plan()
    if strides is None or not _can_skip(node, strides, plan) or not plan.convolutions:
        return None
    for convolution in plan.convolutions:
        _raise_strides(convolution, strides)
    for call, tensor in plan.subsampled:
        _subsample(graph, call, tensor, strides)
    for call in (*plan.pointwise, *plan.convolutions):
        call.outputs[0].shape = _fewer(call.outputs[0].shape, strides)
        call.outputs[0].measured = None
    for reader in readers:
        if type(reader.op.layer) in DENSE:
            reader.op.change({}, {"strides": (1,) * len(strides)})
        else:
            graph.bypass(reader)
    into = ", ".join(x.op.name for x in plan.convolutions)
    return Rewrite("move_strides", tuple(x.op.name for x in readers), into)


def _skipped(reader: Node) -> Strides | None:
    """The strides of a call that reads every so many positions of its input; else None."""
    layer, data = reader.op.layer, reader.data
    if type(layer) not in (*DENSE, *_POOLINGS) or data is None or is_channels_first(layer):
        return None
    along = windows(reader.op)
    strides = _strides(reader.op)
    if any(x.size != 1 for x in along) or all(x == 1 for x in strides):
        return None
    if type(layer) in _POOLINGS:
        plain = len(reader.inputs) == 1 and not reader.changes_mask
        return strides if plain and data.dtype == reader.outputs[0].dtype else None
    try:
        check_linear(reader, but_activation=True)
        check_changeable(reader.op)
    except Refused:
        return None
    return strides


def _strides(op: Op) -> Strides:
    return tuple(x.stride for x in windows(op))


def _can_skip(node: Node, strides: Strides, plan: _Plan) -> bool:
    """Whether a call can return fewer positions; how is added to the plan."""
    if _is_pointwise(node):
        plan.pointwise.append(node)
        for tensor in dict.fromkeys(node.inputs):
            alone = set(tensor.users) == {node} and not node.graph.is_output(tensor)
            if not (alone and _can_skip(tensor.node, strides, plan)):
                plan.subsampled.append((node, tensor))
        return True
    if _can_raise(node, strides):
        plan.convolutions.append(node)
        return True
    return False


def _is_pointwise(node: Node) -> bool:
    """Whether each position of its result depends on that position of its operands alone."""
    if len(node.outputs) != 1 or node.runs_training or not node.inputs:
        return False
    layer, result = node.op.layer, node.outputs[0]
    if any((x.shape, x.dtype) != (result.shape, result.dtype) for x in node.inputs):
        return False
    if any(x.mask is not None for x in (result, *node.inputs)):
        return False
    kind, channels = type(layer), result.shape[-1]
    if kind is layers.BatchNormalization:
        return layer.axis in (-1, len(result.shape) - 1)
    if kind is layers.Rescaling:
        sizes = {np.shape(layer.scale), np.shape(layer.offset)}
        return sizes <= {(), (1,), (channels,)}
    if kind is layers.Activation:
        return layer.activation in ELEMENTWISE
    return kind in (*_ACTIVATIONS, *_COMBINATIONS)


def _can_raise(node: Node, strides: Strides) -> bool:
    """Whether it is a convolution that can have larger strides."""
    op = node.op
    if type(op.layer) not in (*DENSE, *DEPTHWISE) or is_channels_first(op.layer):
        return False
    try:
        check_linear(node, but_activation=True)
        check_changeable(op)
        _zeros(node)
    except Refused:
        return False
    activation = op.setting("activation")
    larger = {a * s for a, s in zip(_strides(op), strides, strict=True)}
    return (
        (activation is None or activation in ELEMENTWISE)
        and op.setting("padding") in ("valid", "same")
        and all(x.dilation == 1 for x in windows(op))
        # There is no kernel of a depthwise convolution with unequal strides.
        and (type(op.layer) in DENSE or len(larger) == 1)
    )


def _zeros(node: Node) -> list[tuple[int, int]]:
    """What the convolution pads with, along each spatial axis, now."""
    op, data = node.op, node.data
    assert data is not None
    if op.setting("padding") != "same":
        return [(0, 0)] * (len(data.shape) - 2)
    return _same(node, _strides(op))


def _same(node: Node, strides: Strides) -> list[tuple[int, int]]:
    """What ``padding="same"`` puts around the input for these strides."""
    data = node.data
    assert data is not None
    along = zip(windows(node.op), strides, data.shape[1:-1], strict=True)
    return [replace(x, stride=stride).same(n) for x, stride, n in along]


def _raise_strides(node: Node, strides: Strides) -> None:
    """Multiply the strides of a convolution; what it pads with stays the same."""
    op, data, zeros = node.op, node.data, _zeros(node)
    assert data is not None
    larger = tuple(a * s for a, s in zip(_strides(op), strides, strict=True))
    config: dict[str, Any] = {"strides": larger}
    if op.setting("padding") == "same":
        try:
            stays = _same(node, larger) == zeros
        except Refused:  # the size is open
            stays = not any(map(sum, zeros))
        if not stays:
            config["padding"] = "valid"
            _pad(node, data, zeros)
    op.change({}, config)


def _pad(node: Node, data: Tensor, zeros: list[tuple[int, int]]) -> None:
    kind = _PADDING[len(zeros)]
    amounts = zeros[0] if kind is layers.ZeroPadding1D else tuple(zeros)
    layer = kind(amounts, dtype=data.dtype, name=f"{node.op.name}_pad")
    sizes = (
        None if n is None else n + sum(around)
        for n, around in zip(data.shape[1:-1], zeros, strict=True)
    )
    shape = (data.shape[0], *sizes, data.shape[-1])
    result = keras.KerasTensor(shape, data.dtype)
    [padded] = node.graph.put_before(node, Op(layer, layer.name), data, [result])
    node.graph.set_operands(node, padded)


def _subsample(graph: Graph, node: Node, tensor: Tensor, strides: Strides) -> None:
    """Let a call take every so many positions of one of its operands."""
    kind = _SUBSAMPLING[len(strides)]
    name = f"{tensor.node.op.name}_subsampled"
    layer = kind(1, strides if len(strides) > 1 else strides[0], dtype=tensor.dtype, name=name)
    result = keras.KerasTensor(_fewer(tensor.shape, strides), tensor.dtype)
    [fewer] = graph.put_before(node, Op(layer, name), tensor, [result])
    operands = [fewer if x is tensor else x for x in node.operands]
    graph.set_operands(node, operands if isinstance(node.args[0], list) else operands[0])


def _fewer(shape: tuple[int | None, ...], strides: Strides) -> tuple[int | None, ...]:
    sizes = (
        None if n is None else math.ceil(n / s) for n, s in zip(shape[1:-1], strides, strict=True)
    )
    return (shape[0], *sizes, shape[-1])
