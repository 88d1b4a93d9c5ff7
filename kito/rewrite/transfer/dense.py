"""Dense and EinsumDense: which axis of the kernel ``W`` in ``W x + b`` holds which channels.

The identities are those of :mod:`kito.rewrite.transfer.kernel`. Dense has a kernel of shape
(in, out). The equation of an EinsumDense says which axes of its kernel are summed over, so that a
scale before it goes along one of those, and which one is the axis of its output channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Array, Refused
from kito.rewrite.numerics import add_to_bias, map_bias, scale_kernel
from kito.rewrite.transfer.kernel import Kernel
from kito.rewrite.transfer.preconditions import check_absorbs, check_plain
from kito.rewrite.transfer.protocol import Change
from kito.rewrite.transfer.registry import provide


@dataclass(frozen=True)
class Equation:
    """``data,kernel->output`` of an EinsumDense with one axis of output channels.

    Attributes:
        data, kernel, output: the terms, one letter an axis.
        channels: the letter of the output channels.
    """

    data: str
    kernel: str
    output: str
    channels: str

    @classmethod
    def of(cls, op: Op) -> Equation:
        """The equation of a layer; raises Refused unless its output has one axis of channels."""
        text = op.layer.equation.replace(" ", "")
        left, _, output = text.partition("->")
        data, _, kernel = left.partition(",")
        channels = [x for x in kernel if x in output]
        one = len(channels) == 1 and channels[0] not in data
        if not one or not set(kernel) - {channels[0]} <= set(data):
            raise Refused(f"'{op.name}' computes '{text}', which has no single axis of channels")
        if "." in output.partition(channels[0])[2]:
            raise Refused(f"'{op.name}' computes '{text}', where a bias has no fixed shape")
        if op.setting("bias_axes") not in (None, channels[0]):
            raise Refused(f"'{op.name}' has a bias along '{op.setting('bias_axes')}'")
        return cls(data, kernel, output, channels[0])

    @property
    def summed(self) -> str:
        """The axes of the kernel that are summed over."""
        return self.kernel.replace(self.channels, "")

    def as_bias(self, vector: Array) -> Array:
        """``vector`` in the shape of the layer's bias: axes of size 1 follow the channels."""
        return vector.reshape(
            [-1] + [1] * (len(self.output) - 1 - self.output.index(self.channels))
        )

    def spread(self, vector: Array, letter: str) -> Array:
        """``vector`` in a shape that multiplies the kernel along the axis ``letter``."""
        return vector.reshape([-1] + [1] * (len(self.kernel) - 1 - self.kernel.index(letter)))


def _axis_of(letter: str, term: str, rank: int) -> int:
    """The axis of ``letter``, one of ``term``, in a tensor of ``rank`` axes."""
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
        channels = kernel.shape[equation.kernel.index(equation.channels)]
        affine = affine.along(_axis_of(equation.channels, equation.output, rank), channels, op.name)
        dtype = op.layer.compute_dtype
        scale = equation.spread(affine.scale, equation.channels)
        weights = {"kernel": scale_kernel(kernel, scale, dtype)}
        bias = op.weight("bias")
        if bias is None and not (affine.shifts or affine.adds):
            return Change(weights)
        flat = None if bias is None else bias.reshape(-1)
        weights["bias"] = equation.as_bias(map_bias(flat, affine, kernel.dtype, dtype))
        return Change(weights, {"bias_axes": equation.channels})

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        check_plain(op)
        equation, kernel = Equation.of(op), self.kernel(op, "kernel")
        summed = equation.summed
        others = set(equation.data) - set(summed) - set(equation.output) - {"."}
        if others or not summed or any(x in equation.output for x in summed):
            raise Refused(f"'{op.name}' computes '{op.layer.equation}', no plain product")
        places = {_axis_of(x, equation.data, rank): x for x in summed}
        letter = places.get(next(iter(places)) if affine.axis is None else affine.axis)
        if letter is None:
            raise Refused(f"it works on axis {affine.axis}, over which '{op.name}' does not sum")
        channels = kernel.shape[equation.kernel.index(letter)]
        affine = affine.along(_axis_of(letter, equation.data, rank), channels, op.name)
        scale = equation.spread(affine.scale, letter)
        weights = {"kernel": scale_kernel(kernel, scale, op.layer.compute_dtype)}
        if not affine.shifts:
            return Change(weights)
        weighted = kernel.astype(np.float64) * equation.spread(affine.shift, letter)
        over = tuple(equation.kernel.index(x) for x in summed)
        response = np.asarray(weighted.sum(axis=over))
        bias = add_to_bias(op.weight("bias"), response, kernel.dtype, op.layer.compute_dtype)
        weights["bias"] = equation.as_bias(bias)
        return Change(weights, {"bias_axes": equation.channels})


provide(Kernel(), layers.Dense)
provide(EinsumDense(), layers.EinsumDense)
