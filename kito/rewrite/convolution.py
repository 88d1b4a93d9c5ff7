"""Windows and kernels of convolutions, for the passes that combine convolutions.

Along one spatial axis, output ``o`` of a convolution reads the inputs ``o * stride + offset +
dilation * j``, ``j = 0 .. size - 1``; inputs outside of the tensor count as zero. With
``padding="valid"`` the offset is 0. With ``"same"`` it is minus the zeros before the tensor:
``total = max((ceil(n / stride) - 1) * stride + (size - 1) * dilation + 1 - n, 0)``, of which
``total // 2`` before and the rest after (TensorFlow's rule, which Keras follows on every backend).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Node, Op, Tensor
from kito.rewrite.affine import Array, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.numerics import cast
from kito.rewrite.transfer.preconditions import check_plain

DENSE = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)


@dataclass(frozen=True)
class Window:
    """The window of a convolution or pooling along one spatial axis."""

    size: int
    stride: int
    dilation: int

    def same(self, n: int | None) -> tuple[int, int]:
        """The zeros that ``padding="same"`` puts before and after ``n`` elements.

        Raises:
            Refused: ``n`` is None (an open size), and the zeros depend on it.
        """
        reach = (self.size - 1) * self.dilation + 1
        if n is None and self.stride > 1:
            raise Refused("how much 'same' pads depends on a size that is open")
        steps = 0 if n is None else (-(-n // self.stride) - 1) * self.stride - n
        total = max(reach - 1 if n is None else steps + reach, 0)
        return total // 2, total - total // 2


def as_tuple(value: Any, count: int) -> tuple[int, ...]:
    """``value``, which is one number for all of ``count`` axes or one for each, as a tuple."""
    return (value,) * count if isinstance(value, int) else tuple(value)


def spatial_sizes(layer: Any, tensor: Tensor) -> tuple[int | None, ...]:
    """The sizes of a tensor that ``layer`` takes or returns, without batch and channels."""
    return tensor.shape[2:] if is_channels_first(layer) else tensor.shape[1:-1]


def windows(op: Op) -> tuple[Window, ...]:
    """The window of a convolution, or of a pooling, along each spatial axis, as it is now."""
    size = getattr(op.layer, "kernel_size", None) or op.layer.pool_size
    count = 1 if isinstance(size, int) else len(size)
    parts = (size, op.setting("strides"), getattr(op.layer, "dilation_rate", 1))
    return tuple(Window(*along) for along in zip(*(as_tuple(x, count) for x in parts), strict=True))


def offsets(op: Op, tensor: Tensor) -> tuple[int, ...]:
    """Where the first tap of output 0 lies, along each spatial axis of the input ``tensor``.

    Raises:
        Refused: it depends on a size that is open.
    """
    padding = op.setting("padding")
    sizes = spatial_sizes(op.layer, tensor)
    if padding == "valid":
        return (0,) * len(sizes)
    if padding == "causal":
        return tuple(-(x.size - 1) * x.dilation for x in windows(op))
    return tuple(-x.same(n)[0] for x, n in zip(windows(op), sizes, strict=True))


def padded_zeros(layer: Any) -> list[tuple[int, int]]:
    """What a ZeroPadding layer puts before and after, along each spatial axis."""
    if isinstance(layer, layers.ZeroPadding1D):
        before, after = as_tuple(layer.padding, 2)
        return [(before, after)]
    return [(before, after) for before, after in layer.padding]


def zeros_before(layer: Any) -> tuple[int, ...]:
    """What a ZeroPadding layer puts before its input, along each spatial axis."""
    return tuple(before for before, _ in padded_zeros(layer))


def check_linear(node: Node, but_activation: bool = False) -> None:
    """Raise Refused unless the call is ``kernel * x + bias``, of a layer that is called once.

    With ``but_activation``, an activation function may follow.
    """
    op = node.op
    check_plain(op)
    activation = op.setting("activation")
    linear = activation is None or activation is keras.activations.linear
    if not linear and (not but_activation or isinstance(activation, layers.Layer)):
        raise Refused(f"'{op.name}' has an activation")
    if len(op.calls()) > 1:
        raise Refused(f"'{op.name}' is called at several places")
    data = node.data
    if data is None or len(node.inputs) != 1 or node.changes_mask:
        raise Refused(f"'{op.name}' takes more than one tensor, or a mask")
    if not op.layer.compute_dtype == data.dtype == node.outputs[0].dtype:
        raise Refused(f"'{op.name}' casts its input")


def grouped_kernel(op: Op) -> tuple[Array, int]:
    """The kernel in float64 as (*window, in / groups, out), and the number of groups.

    A depthwise convolution has as many groups as input channels.

    Raises:
        Refused: the layer has no kernel.
    """
    kernel = op.weight("kernel")
    if kernel is None:
        raise Refused(f"'{op.name}' has no weight named 'kernel'")
    kernel = kernel.astype(np.float64)
    if type(op.layer) in DEPTHWISE:
        groups = kernel.shape[-2]
        return kernel.reshape(*kernel.shape[:-2], 1, -1), groups
    return kernel, int(op.layer.groups)


def own_kernel(op: Op, kernel: Array) -> Array:
    """A kernel as :func:`grouped_kernel` returns it, in the layout and dtype of the layer.

    Raises:
        Refused: the kernel is out of range for the dtype in which the layer computes.
    """
    old = op.weight("kernel")
    assert old is not None
    if type(op.layer) in DEPTHWISE:
        kernel = kernel.reshape(*kernel.shape[:-2], old.shape[-2], -1)
    return cast(kernel, old.dtype, "kernel", op.layer.compute_dtype)


def regroup(kernel: Array, groups: int, fewer: int) -> Array:
    """The kernel of ``groups`` groups as one of ``fewer``, with zeros between joined groups."""
    *window, inputs, filters = kernel.shape
    together = groups // fewer
    parts = kernel.reshape(*window, inputs, groups, filters // groups)
    wide = np.zeros((*window, together, inputs, groups, filters // groups))
    for group in range(groups):
        wide[..., group % together, :, group, :] = parts[..., group, :]
    return wide.reshape(*window, together * inputs, filters)
