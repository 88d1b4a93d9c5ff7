"""Up-sampling moves behind a convolution, which then reads the small tensor.

:mod:`kito.rewrite.passes.move_upsampling.blocks` has the identity. The convolution has a smaller
window and more filters. Its channels are then dealt out to the positions, by a Permute between two
Reshape layers, and what is not in the result is cropped. Nothing has the large size but the result.

In a U-Net, the convolution reads a Concatenate of the up-sampled tensor and others. It is linear:
``conv(concat(up(a), b)) = conv_a(up(a)) + conv_b(b)``, with its kernel divided by input channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Op, Tensor
from kito.rewrite.affine import Array, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import DENSE, as_tuple, check_linear, windows
from kito.rewrite.legality import check_changeable
from kito.rewrite.numerics import check_range
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.passes.move_upsampling.blocks import Axis, block_kernel
from kito.rewrite.passes.move_upsampling.steps import Step, steps_of
from kito.rewrite.transfer.preconditions import ELEMENTWISE

_UP_SAMPLINGS = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
_BACKENDS, _TARGETS = ("tensorflow",), ("any", "cpu")
"""Where it was measured to be faster: on CPUs, in TensorFlow and in the engines of its exports."""
_DEAL, _ADD = 50, 50
"""Multiplications that take as long as to deal out and crop an element of the result, and as to add
to it what comes from the other part of a Concatenate."""
_READ = 60
"""Multiplications that take as long as to read another weight from memory."""


@dataclass(frozen=True)
class _Move:
    """An up-sampling that moves.

    Attributes:
        up: its call.
        axes: the spatial axes, with the windows of the convolution.
        joined: the call of the Concatenate between; None where the convolution reads ``up`` alone.
        rest: the other tensors that are joined.
        channels: the input channels of the convolution that come from ``up``.
    """

    up: Node
    axes: tuple[Axis, ...]
    joined: Node | None
    rest: tuple[Tensor, ...]
    channels: slice

    @property
    def source(self) -> Tensor:
        """The tensor that is up-sampled."""
        data = self.up.data
        assert data is not None
        return data


def run(graph: Graph, target: str) -> Outcome:
    """Move every up-sampling of ``graph``, and of the models nested in it, that is worth it."""
    outcome = Outcome()
    if keras.config.backend() not in _BACKENDS or target not in _TARGETS:
        return outcome
    for inner in graph.graphs():
        moved = True
        while moved:  # a Concatenate may join several
            found = [x for node in list(inner.nodes) if (x := _move(inner, node)) is not None]
            outcome.rewrites += found
            moved = bool(found)
    return outcome


def _move(graph: Graph, node: Node) -> Rewrite | None:
    """Exchange a convolution with an up-sampling before it, if that can be done and is worth it."""
    if node not in graph.nodes or type(node.op.layer) not in DENSE:
        return None
    try:
        check_linear(node, but_activation=True)
        check_changeable(node.op)
        moves = list(_moves(graph, node))
        if not moves:
            return None
        kernel = _kernel(node.op)
        for move in moves:
            if _is_worth(move, kernel.shape):
                return _exchange(graph, node, move, kernel)
    except Refused:
        pass
    return None


def _kernel(op: Op) -> Array:
    """(*window, in, out) of a convolution that pads with ``same`` and skips nothing.

    Raises:
        Refused: it is another one, or its activation looks at more than one element.
    """
    kernel, activation = op.weight("kernel"), op.setting("activation")
    plain = all(x.stride == x.dilation == 1 for x in windows(op)) and op.setting("groups") == 1
    if kernel is None or not plain or op.setting("padding") != "same":
        raise Refused(f"'{op.name}' has strides, dilation or groups, or pads otherwise")
    if activation is not None and activation not in ELEMENTWISE:
        raise Refused(f"the activation of '{op.name}' looks at more than one element")
    if is_channels_first(op.layer):
        raise Refused(f"'{op.name}' has channels first")
    return kernel


def _moves(graph: Graph, node: Node) -> Iterator[_Move]:
    """Every up-sampling that only this convolution reads, by itself or joined with others."""
    data = node.data
    assert data is not None
    if data.users != [node] or graph.is_output(data):
        return
    axes = _axes(data.node, node)
    if axes is not None:
        yield _Move(data.node, axes, None, (), slice(None))
    if not _joins_channels(data.node):
        return
    start, parts = 0, data.node.operands
    for i, part in enumerate(parts):
        channels = slice(start, start + (part.shape[-1] or 0))
        start = channels.stop
        alone = part.users == [data.node] and not graph.is_output(part)
        axes = _axes(part.node, node) if alone else None
        if axes is not None:
            yield _Move(part.node, axes, data.node, (*parts[:i], *parts[i + 1 :]), channels)


def _joins_channels(node: Node) -> bool:
    """Whether it is a Concatenate of several tensors along the last axis."""
    layer, parts, result = node.op.layer, node.operands, node.outputs[0]
    if type(layer) is not layers.Concatenate or len(parts) == 1:
        return False
    if layer.axis not in (-1, len(result.shape) - 1):
        return False
    return all(
        x.mask is None and x.dtype == result.dtype and x.shape[-1] is not None
        for x in (result, *parts)
    )


def _axes(up: Node, node: Node) -> tuple[Axis, ...] | None:
    """The axes of an up-sampling that copies, with the windows of the convolution; else None."""
    layer, data, along = up.op.layer, up.data, windows(node.op)
    if type(layer) not in _UP_SAMPLINGS or data is None or len(up.inputs) != 1:
        return None
    copies = getattr(layer, "interpolation", "nearest") == "nearest"
    if not copies or is_channels_first(layer) or up.changes_mask:
        return None
    sizes = [n for n in data.shape[1:-1] if n is not None]
    if data.dtype != up.outputs[0].dtype or len(sizes) != len(along):
        return None
    factors = as_tuple(layer.size, len(along))
    parts = zip(sizes, factors, (x.size for x in along), strict=True)
    return tuple(Axis(*part) for part in parts)


def _is_worth(move: _Move, shape: tuple[int, ...]) -> bool:
    """Whether it saves more than it adds, for a kernel of this shape (*window, in, out)."""
    filters, axes = shape[-1], move.axes
    products = len(range(shape[-2])[move.channels]) * filters
    saved = math.prod(x.size * x.factor * x.window for x in axes)
    saved -= math.prod(x.blocks * x.factor * x.taps for x in axes)
    weights = math.prod(x.factor * x.taps for x in axes) - math.prod(x.window for x in axes)
    elements = filters * math.prod(x.size * x.factor for x in axes)
    copies = _DEAL if move.joined is None else _DEAL + _ADD
    return products * saved > elements * copies + products * max(weights, 0) * _READ


def _exchange(graph: Graph, node: Node, move: _Move, kernel: Array) -> Rewrite:
    """Convolve the small tensor, and the others as before.

    Raises:
        Refused: the kernel would be out of range.
    """
    op, up = node.op, move.up.op.name
    new = block_kernel(kernel[..., move.channels, :], move.axes)
    check_range(new, "kernel", op.layer.compute_dtype)
    part, bias = op.copy(f"{op.name}_small"), op.weight("bias")
    if move.joined is None:
        if bias is not None:
            bias = np.tile(bias, math.prod(x.factor for x in move.axes))
        part.change({"kernel": new, **({} if bias is None else {"bias": bias})}, {})
        *steps, (last, _) = steps_of(part, move.axes, move.source, op.name)
        graph.call_layer(node, last.layer, _call(node, steps, move.source))
        return Rewrite("move_upsampling", (up, op.name), part.name)
    part.change({"kernel": new, "bias": None}, {"activation": None, "use_bias": False})
    steps = steps_of(part, move.axes, move.source, f"{op.name}_result")
    result = _call(node, steps, move.source)
    others = _call_others(graph, node, move, kernel)
    _call_sum(graph, node, [result, others])
    return Rewrite("move_upsampling", (up, op.name), f"{part.name}, {others.node.op.name}")


def _call(node: Node, steps: Sequence[Step], source: Tensor) -> Tensor:
    """Call layers in a row before ``node``; returns the last result."""
    for op, shape in steps:
        result = keras.KerasTensor((source.shape[0], *shape), source.dtype)
        [source] = node.graph.put_before(node, op, source, [result])
    return source


def _call_others(graph: Graph, node: Node, move: _Move, kernel: Array) -> Tensor:
    """The convolution of the other tensors, with the bias; without the activation."""
    op, joined = node.op, move.joined
    assert joined is not None
    part = op.copy(f"{op.name}_rest")
    left = np.delete(kernel, np.r_[move.channels], axis=-2)
    part.change({"kernel": left}, {"activation": None})
    source = move.rest[0]
    if len(move.rest) > 1:
        graph.set_operands(joined, list(move.rest))
        source = joined.outputs[0]
        source.shape = (*source.shape[:-1], sum(x.shape[-1] or 0 for x in move.rest))
        source.measured = None
    return _call(node, [(part, node.outputs[0].shape[1:])], source)


def _call_sum(graph: Graph, node: Node, terms: list[Tensor]) -> None:
    """Let a sum, or the activation behind it, take the place of a convolution, and its name."""
    op, result = node.op, node.outputs[0]
    activation, dtype = op.setting("activation"), result.dtype
    if activation is None or activation is keras.activations.linear:
        graph.call_layer(node, layers.Add(name=op.name, dtype=dtype), terms)
        return
    add = Op(layers.Add(dtype=dtype), f"{op.name}_sum")
    like = keras.KerasTensor(result.shape, dtype)
    [summed] = graph.put_before(node, add, terms, [like])
    activate = layers.Activation(activation, name=op.name, dtype=dtype)
    graph.call_layer(node, activate, summed)
