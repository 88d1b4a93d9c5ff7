"""What PyTorch has and Keras has not, by the descriptions of :mod:`kito.graph.torch.op`.

- A transposed convolution with groups is one per group: the identities are those of
  :class:`~kito.rewrite.transfer.convolution.Transposed`, for a kernel of shape (*window, groups,
  out / groups, in / groups).
- Means, maxima, zero paddings and rectifiers are the families of
  :mod:`~kito.rewrite.transfer.pooling` and :mod:`~kito.rewrite.transfer.activation`.
- ``x * c``, ``x + c`` and their like, with a constant ``c``, are affines.
"""

from __future__ import annotations

import math

from kito.graph.ir import Op
from kito.graph.torch.op import (
    ChannelAffine,
    Largest,
    Mean,
    Rectifier,
    TransposedConvolution,
    Unchanged,
    WideConvolution,
    ZeroPadded,
)
from kito.rewrite.affine import Affine, Array
from kito.rewrite.transfer.activation import Homogeneous, Identity
from kito.rewrite.transfer.arithmetic import constant_affine
from kito.rewrite.transfer.convolution import Convolution, Transposed
from kito.rewrite.transfer.pooling import Maximum, Padding, Pooling
from kito.rewrite.transfer.protocol import Shape, Transfer
from kito.rewrite.transfer.registry import provide


class GroupedTransposed(Transposed):
    """Kernel of shape (*window, groups, out / groups, in / groups)."""

    def filters(self, kernel: Array) -> int:
        return math.prod(kernel.shape[-3:-1])

    def spread(self, scale: Array, kernel: Array) -> Array:
        return scale.reshape(*kernel.shape[-3:-1], 1)

    def channels(self, op: Op, kernel: Array) -> int:
        return int(kernel.shape[-3] * kernel.shape[-1])

    def spread_before(self, op: Op, scale: Array, kernel: Array) -> Array:
        return scale.reshape(kernel.shape[-3], 1, kernel.shape[-1])


class Constants(Transfer):
    """``scale * x + shift`` with constants that broadcast to the shape of ``x``."""

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        affine = constant_affine(op.layer.scale, op.layer.shift, shape)
        return affine if affine is None or affine.shifts else affine.only_scale()


provide(GroupedTransposed(), TransposedConvolution)
provide(Convolution(), WideConvolution)
provide(Pooling(), Mean)
provide(Maximum(), Largest)
provide(Padding(), ZeroPadded)
provide(Homogeneous(), Rectifier)
provide(Identity(), Unchanged)
provide(Constants(), ChannelAffine)
