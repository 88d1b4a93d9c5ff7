"""Layers that are linear but for their bias absorb an affine after or before them.

Identities, with ``A(x) = s * x + t`` per channel and ``W x + b`` the layer:

- after: ``A(W x + b) = (s W) x + (s b + t)``, with ``s`` along the output channels of the kernel;
- before: ``W A(x) + b = (W s) x + (b + W t)``, with ``s`` along its input channels and ``W t`` the
  sum of the kernel over its window and input channels, weighted by ``t``.

The first holds under a ReLU-like activation too where only ``s > 0`` is asked. In the second ``t``
must be zero where the layer pads: it pads with zeros, which an affine before it would have made
zeros after the fact and ``t`` before. A window of one element never pads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers

from kito.affine import Affine, Refused, check_range, map_bias, scale_kernel
from kito.nodes import Op
from kito.transfer.base import Change, Transfer, check_absorbs, check_plain, provide

Array = np.ndarray[Any, Any]


class Kernel(Transfer):
    """Layers with one kernel whose output channels lie on one of its axes.

    Args:
        variable: name of the variable that makes the output channels.
        out_axis: the axis of that kernel that holds them.
        in_axis: the axis of it that holds the input channels.
    """

    def __init__(self, variable: str = "kernel", out_axis: int = -1, in_axis: int = -2) -> None:
        self.variable, self.out_axis, self.in_axis = variable, out_axis, in_axis

    def channel_axis(self, op: Op, rank: int) -> int:
        """The axis of input and output that holds the channels."""
        first = getattr(op.layer, "data_format", "channels_last") == "channels_first"
        return 1 if first else rank - 1

    def kernel(self, op: Op, variable: str) -> Array:
        """The kernel of that name."""
        kernel = op.weight(variable)
        if kernel is None:
            raise Refused(f"'{op.name}' has no weight named '{variable}'")
        return kernel

    # ---- after ---------------------------------------------------------------------------------

    def filters(self, kernel: Array) -> int:
        """The number of output channels."""
        return int(kernel.shape[self.out_axis])

    def spread(self, scale: Array, kernel: Array) -> Array:
        """``scale``, shape (channels,), shaped to multiply ``kernel`` by output channel."""
        return scale.reshape([-1] + [1] * (-1 - self.out_axis))

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        check_absorbs(op, affine)
        kernel = self.kernel(op, self.variable)
        affine = affine.along(self.channel_axis(op, rank), self.filters(kernel), op.name)
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
        return Affine.of(1.0, bias, self.channel_axis(op, rank))

    # ---- before --------------------------------------------------------------------------------

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        check_plain(op)
        name, kernel = self.first_kernel(op)
        channels = self.channels(op, kernel)
        affine = affine.along(self.channel_axis(op, rank), channels, op.name)
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
        weights["bias"] = add_to_bias(op, self.response(op, kernel, affine.shift), kernel.dtype)
        return Change(weights, {"use_bias": True})

    def first_kernel(self, op: Op) -> tuple[str, Array]:
        """The kernel that meets the input: its name and value."""
        return self.variable, self.kernel(op, self.variable)

    def channels(self, op: Op, kernel: Array) -> int:
        """The number of input channels."""
        return int(kernel.shape[self.in_axis]) * int(getattr(op.layer, "groups", 1))

    def padding(self, op: Op) -> str:
        """The layer's padding."""
        return str(op.setting("padding", "valid"))

    def pads(self, op: Op, kernel: Array) -> bool:
        """Whether the layer may see zeros around its input."""
        return self.padding(op) != "valid" and math.prod(kernel.shape[:-2]) != 1

    def spread_before(self, op: Op, scale: Array, kernel: Array) -> Array:
        """``scale``, shape (channels,), shaped to multiply the first kernel by input channel."""
        return scale.reshape([-1] + [1] * (-1 - self.in_axis))

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        """What the layer without its bias answers to ``shift`` everywhere; shape (filters,)."""
        return shift @ window_sum(kernel)


class Convolution(Kernel):
    """Kernel of shape (*window, in / groups, out), the groups one after the other in ``out``."""

    def spread_before(self, op: Op, scale: Array, kernel: Array) -> Array:
        per_group = scale.reshape(-1, kernel.shape[-2]).T
        return np.repeat(per_group, kernel.shape[-1] // per_group.shape[-1], axis=-1)

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        weighted = window_sum(kernel) * self.spread_before(op, shift, kernel)
        return np.asarray(weighted.sum(axis=0))


class Transposed(Kernel):
    """Kernel of shape (*window, out, in). How many taps meet an element varies, so no shift."""

    def __init__(self) -> None:
        super().__init__("kernel", out_axis=-2, in_axis=-1)

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        if affine.shifts:
            raise Refused(
                f"'{op.name}' ({op.type_name}) adds up differently many elements from place to "
                "place, so only a scale can precede it"
            )
        return super().absorb_preceding(op, affine, rank)


class Depthwise(Kernel):
    """Kernel of shape (*window, in, depth_multiplier); (i, m) makes channel i * multiplier + m."""

    def filters(self, kernel: Array) -> int:
        return math.prod(kernel.shape[-2:])

    def spread(self, scale: Array, kernel: Array) -> Array:
        return scale.reshape(kernel.shape[-2:])

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        return np.asarray((window_sum(kernel) * shift[:, None]).reshape(-1))


class Separable(Kernel):
    """A depthwise kernel without bias, then a pointwise one: an affine goes into the nearer."""

    def __init__(self) -> None:
        super().__init__("pointwise_kernel")

    def first_kernel(self, op: Op) -> tuple[str, Array]:
        return "depthwise_kernel", self.kernel(op, "depthwise_kernel")

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        inner = (window_sum(kernel) * shift[:, None]).reshape(-1)
        return np.asarray(inner @ window_sum(self.kernel(op, "pointwise_kernel")))


@dataclass(frozen=True)
class Equation:
    """``data,kernel->output`` of an EinsumDense with one axis of output channels, ``made``."""

    data: str
    kernel: str
    output: str
    made: str

    @classmethod
    def of(cls, op: Op) -> Equation:
        """Raises Refused where it is another kind of equation."""
        text = op.layer.equation.replace(" ", "")
        left, _, output = text.partition("->")
        data, _, kernel = left.partition(",")
        made = [x for x in kernel if x in output]
        if len(made) != 1 or made[0] in data or not set(kernel) - {made[0]} <= set(data):
            raise Refused(f"'{op.name}' computes '{text}', which has not one axis of channels")
        if "." in output.partition(made[0])[2]:
            raise Refused(f"'{op.name}' computes '{text}', where a bias would have open axes")
        if op.setting("bias_axes") not in (None, made[0]):
            raise Refused(f"'{op.name}' has a bias along '{op.setting('bias_axes')}'")
        return cls(data, kernel, output, made[0])

    @property
    def summed(self) -> str:
        """The axes of the kernel that are summed over."""
        return self.kernel.replace(self.made, "")

    def as_bias(self, vector: Array) -> Array:
        """``vector`` in the shape of the layer's bias: axes of 1 follow that of the channels."""
        return vector.reshape([-1] + [1] * (len(self.output) - 1 - self.output.index(self.made)))

    def spread(self, vector: Array, letter: str) -> Array:
        """``vector`` shaped to multiply the kernel along the axis ``letter``."""
        return vector.reshape([-1] + [1] * (len(self.kernel) - 1 - self.kernel.index(letter)))


def _place(letter: str, term: str, rank: int) -> int:
    """The axis of ``letter`` in a tensor of ``rank`` axes, whatever the ellipsis stands for."""
    before, dots, after = term.partition("...")
    return (
        rank - len(after) + after.index(letter)
        if dots and letter in after
        else before.index(letter)
    )


class EinsumDense(Kernel):
    """Every kernel axis is either summed over or the one axis of output channels."""

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        check_absorbs(op, affine)
        equation, kernel = Equation.of(op), self.kernel(op, "kernel")
        channels = kernel.shape[equation.kernel.index(equation.made)]
        affine = affine.along(_place(equation.made, equation.output, rank), channels, op.name)
        dtype = op.layer.compute_dtype
        scale = equation.spread(affine.scale, equation.made)
        weights = {"kernel": scale_kernel(kernel, scale, dtype)}
        bias = op.weight("bias")
        if bias is None and not (affine.shifts or affine.adds):
            return Change(weights)
        flat = None if bias is None else bias.reshape(-1)
        weights["bias"] = equation.as_bias(map_bias(flat, affine, kernel.dtype, dtype))
        return Change(weights, {"bias_axes": equation.made})

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        check_plain(op)
        equation, kernel = Equation.of(op), self.kernel(op, "kernel")
        summed = equation.summed
        others = set(equation.data) - set(summed) - set(equation.output) - {"."}
        if others or not summed or any(x in equation.output for x in summed):
            raise Refused(f"'{op.name}' computes '{op.layer.equation}', no sum over its kernel")
        places = {_place(x, equation.data, rank): x for x in summed}
        letter = places.get(next(iter(places)) if affine.axis is None else affine.axis)
        if letter is None:
            raise Refused(f"it works on axis {affine.axis}, over which '{op.name}' does not sum")
        channels = kernel.shape[equation.kernel.index(letter)]
        affine = affine.along(_place(letter, equation.data, rank), channels, op.name)
        scale = equation.spread(affine.scale, letter)
        weights = {"kernel": scale_kernel(kernel, scale, op.layer.compute_dtype)}
        if not affine.shifts:
            return Change(weights)
        weighted = kernel.astype(np.float64) * equation.spread(affine.shift, letter)
        over = tuple(equation.kernel.index(x) for x in summed)
        response = np.asarray(weighted.sum(axis=over))
        weights["bias"] = equation.as_bias(add_to_bias(op, response, kernel.dtype))
        return Change(weights, {"bias_axes": equation.made})


def window_sum(kernel: Array) -> Array:
    """The sum over all axes but the last two, in float64."""
    wide = kernel.dtype.kind == "f"  # NumPy cannot sum bfloat16 in float64
    values = kernel if wide else kernel.astype(np.float64)
    return np.asarray(values.sum(axis=tuple(range(kernel.ndim - 2)), dtype=np.float64))


def add_to_bias(op: Op, response: Array, dtype: np.dtype[Any]) -> Array:
    """The bias of the layer, zeros where there is none, with ``response`` added."""
    bias = op.weight("bias")
    with np.errstate(all="ignore"):
        total = response if bias is None else bias.astype(np.float64).reshape(-1) + response
        out = np.asarray(total.astype(dtype))
    check_range(out, "bias", op.layer.compute_dtype)
    return out


provide(Convolution(), layers.Conv1D, layers.Conv2D, layers.Conv3D)
provide(Transposed(), layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
provide(Depthwise(), layers.DepthwiseConv1D, layers.DepthwiseConv2D)
provide(Separable(), layers.SeparableConv1D, layers.SeparableConv2D)
provide(Kernel(), layers.Dense)
provide(EinsumDense(), layers.EinsumDense)
