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

from dataclasses import dataclass

import numpy as np
from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.numerics import map_bias, scale_kernel
from kito.rewrite.transfer.kernel import Array, Kernel, add_to_bias
from kito.rewrite.transfer.preconditions import check_absorbs, check_plain
from kito.rewrite.transfer.protocol import Change
from kito.rewrite.transfer.registry import provide


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


provide(Kernel(), layers.Dense)
provide(EinsumDense(), layers.EinsumDense)
