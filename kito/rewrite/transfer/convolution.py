"""Convolutions: how each kind lays out its kernel ``W`` in ``W x + b``.

The identities are those of :mod:`kito.rewrite.transfer.kernel`. Each class says along which axes of
its kernel a scale of the output or input channels goes, and what ``W t`` is for a shift ``t``.
"""

from __future__ import annotations

import math

import numpy as np
from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Array, Refused
from kito.rewrite.transfer.kernel import Kernel, window_sum
from kito.rewrite.transfer.protocol import Change
from kito.rewrite.transfer.registry import provide


class Convolution(Kernel):
    """Kernel of shape (*window, in / groups, out), the groups one after the other in ``out``."""

    def spread_before(self, op: Op, scale: Array, kernel: Array) -> Array:
        per_group = scale.reshape(-1, kernel.shape[-2]).T
        return np.repeat(per_group, kernel.shape[-1] // per_group.shape[-1], axis=-1)

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        weighted = window_sum(kernel) * self.spread_before(op, shift, kernel)
        return np.asarray(weighted.sum(axis=0))


class Transposed(Kernel):
    """Kernel of shape (*window, out, in); only a scale may precede it.

    How many inputs an output sums varies from place to place, so ``W t`` is not one bias.
    """

    def __init__(self) -> None:
        super().__init__("kernel", out_axis=-2, in_axis=-1)

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        if affine.shifts:
            raise Refused(
                f"'{op.name}' ({op.type_name}) sums a different number of elements at "
                "each place, so only a scale can precede it"
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
    """A depthwise kernel ``D`` without bias, then a pointwise kernel ``P``: ``P (D x) + b``.

    ``P`` absorbs an affine after the layer, ``D`` one before it.
    """

    def __init__(self) -> None:
        super().__init__("pointwise_kernel")

    def first_kernel(self, op: Op) -> tuple[str, Array]:
        return "depthwise_kernel", self.kernel(op, "depthwise_kernel")

    def response(self, op: Op, kernel: Array, shift: Array) -> Array:
        inner = (window_sum(kernel) * shift[:, None]).reshape(-1)
        return np.asarray(inner @ window_sum(self.kernel(op, "pointwise_kernel")))


provide(Convolution(), layers.Conv1D, layers.Conv2D, layers.Conv3D)
provide(Transposed(), layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
provide(Depthwise(), layers.DepthwiseConv1D, layers.DepthwiseConv2D)
provide(Separable(), layers.SeparableConv1D, layers.SeparableConv2D)
