"""The base of all layers ``W x + b``: they absorb an affine after or before them.

Identities, with ``A(x) = s * x + t`` per channel:

- after: ``A(W x + b) = (s W) x + (s b + t)``, with ``s`` along the output channels of the kernel;
- before: ``W A(x) + b = (W s) x + (b + W t)``, with ``s`` along its input channels and ``W t`` the
  sum of the kernel over its window and input channels, weighted by ``t``.

The first also holds under a ReLU-like activation where ``s > 0`` and ``t = 0``. The second needs
``t = 0`` where the layer pads: it pads the input ``A(x)`` with zeros, where ``A`` applied to a
padded ``x`` gives ``t``. A window of one element never pads.
"""

from __future__ import annotations

import math

import numpy as np

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Array, Refused
from kito.rewrite.channels import channel_axis
from kito.rewrite.numerics import add_to_bias, map_bias, scale_kernel
from kito.rewrite.transfer.preconditions import check_absorbs, check_plain
from kito.rewrite.transfer.protocol import Change, Transfer


class Kernel(Transfer):
    """Layers that apply a kernel and add a bias.

    Args:
        variable: name of the kernel that produces the output channels.
        out_axis: the axis of that kernel that holds the output channels.
        in_axis: the axis of that kernel that holds the input channels.
    """

    def __init__(self, variable: str = "kernel", out_axis: int = -1, in_axis: int = -2) -> None:
        self.variable, self.out_axis, self.in_axis = variable, out_axis, in_axis

    def kernel(self, op: Op, variable: str) -> Array:
        """The value of the weight named ``variable``; raises Refused where there is none."""
        kernel = op.weight(variable)
        if kernel is None:
            raise Refused(f"'{op.name}' has no weight named '{variable}'")
        return kernel

    # ---- after ---------------------------------------------------------------------------------

    def filters(self, kernel: Array) -> int:
        """The number of output channels."""
        return int(kernel.shape[self.out_axis])

    def spread(self, scale: Array, kernel: Array) -> Array:
        """``scale``, shape (filters,), in a shape that multiplies ``kernel`` by output channel."""
        return scale.reshape([-1] + [1] * (-1 - self.out_axis))

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        check_absorbs(op, affine)
        kernel = self.kernel(op, self.variable)
        affine = affine.along(channel_axis(op.layer, rank), self.filters(kernel), op.name)
        dtype = op.layer.compute_dtype
        weights = {}
        if affine.scales:
            weights[self.variable] = scale_kernel(kernel, self.spread(affine.scale, kernel), dtype)
        bias = op.weight("bias")
        if bias is None and not (affine.shifts or affine.adds):
            return Change(weights)
        weights["bias"] = map_bias(bias, affine, kernel.dtype, dtype)
        return Change(weights, {"use_bias": True})

    def own_shift(self, op: Op, rank: int) -> Affine | None:
        bias = op.weight("bias")
        if bias is None or op.setting("use_bias") is None:
            return None
        try:
            check_absorbs(op, Affine.of(1.0, 1.0, None))
        except Refused:
            return None
        return Affine.of(1.0, bias, channel_axis(op.layer, rank))

    # ---- before --------------------------------------------------------------------------------

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        check_plain(op)
        name, kernel = self.first_kernel(op)
        channels = self.channels(op, kernel)
        affine = affine.along(channel_axis(op.layer, rank), channels, op.name)
        if affine.shifts and self.pads(op, kernel):
            raise Refused(
                f"'{op.name}' pads with zeros (padding='{self.padding(op)}'), which its shift "
                "must not reach"
            )
        dtype = op.layer.compute_dtype
        weights = {}
        if affine.scales:
            weights[name] = scale_kernel(
                kernel, self.spread_before(op, affine.scale, kernel), dtype
            )
        if not affine.shifts:
            return Change(weights)
        response = self.response(op, kernel, affine.shift)
        weights["bias"] = add_to_bias(op.weight("bias"), response, kernel.dtype, dtype)
        return Change(weights, {"use_bias": True})

    def first_kernel(self, op: Op) -> tuple[str, Array]:
        """The kernel that is applied to the input: its name and value."""
        return self.variable, self.kernel(op, self.variable)

    def channels(self, op: Op, kernel: Array) -> int:
        """The number of input channels."""
        return int(kernel.shape[self.in_axis]) * int(getattr(op.layer, "groups", 1))

    def padding(self, op: Op) -> str:
        """The layer's padding."""
        return str(op.setting("padding", "valid"))

    def pads(self, op: Op, kernel: Array) -> bool:
        """Whether the layer may pad its input with zeros."""
        return self.padding(op) != "valid" and math.prod(kernel.shape[:-2]) != 1

    def spread_before(self, op: Op, scale: Array, kernel: Array) -> Array:
        """``scale``, shape (channels,), in a shape that multiplies the kernel by input channel."""
        return scale.reshape([-1] + [1] * (-1 - self.in_axis))

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        """What the layer returns, without its bias, for an input that is ``shift`` everywhere.

        Shape (filters,).
        """
        return shift @ window_sum(kernel)


def window_sum(kernel: Array) -> Array:
    """The sum over all axes but the last two, in float64."""
    wide = kernel.dtype.kind == "f"  # NumPy cannot sum bfloat16 in float64
    values = kernel if wide else kernel.astype(np.float64)
    return np.asarray(values.sum(axis=tuple(range(kernel.ndim - 2)), dtype=np.float64))
