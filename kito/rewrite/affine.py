"""Affine: the per-channel map ``y = scale * x + shift``, in float64.

Affines are composed and split here in float64. :mod:`kito.rewrite.numerics` casts the results to
the dtypes of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kito.errors import counted

Array = np.ndarray[Any, Any]
"""Weights of any shape and dtype."""

Vector = NDArray[np.float64]
"""One float64 element per channel."""

LARGEST_SHIFT = 256.0
"""The largest shift that is moved behind a kernel.

Folding ``x + t`` into a later kernel costs log2(|t| / |x + t|) bits of each product: at most 8.
"""


class Refused(Exception):
    """A rewrite would not be exact, or kito does not know how to do it; the message says why."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``y = scale * x + shift`` along one axis of a tensor, or with one scale and shift for all.

    Attributes:
        scale: shape (channels,), float64; (1,) where ``axis`` is None.
        shift: shape (channels,), float64; (1,) where ``axis`` is None.
        axis: the axis of the channels, counted from 0 with the batch; None where all elements have
            the same scale and shift.
        adds: whether a layer that absorbs it gets a bias, even where the shift is zero.
    """

    scale: Vector
    shift: Vector
    axis: int | None
    adds: bool = True

    @classmethod
    def of(cls, scale: ArrayLike, shift: ArrayLike, axis: int | None, adds: bool = True) -> Affine:
        """An affine from a scale and a shift of one or ``channels`` elements each, broadcast."""
        both = np.atleast_1d(np.asarray(scale, np.float64), np.asarray(shift, np.float64))
        wide = np.broadcast_arrays(*(x.reshape(-1) for x in both))
        return cls(wide[0], wide[1], axis, adds)

    @classmethod
    def from_normalization(
        cls,
        mean: ArrayLike,
        variance: ArrayLike,
        gamma: ArrayLike | None,
        beta: ArrayLike | None,
        epsilon: float,
        axis: int,
    ) -> Affine:
        """BatchNormalization in inference: gamma * (x - mean) / sqrt(variance + epsilon) + beta.

        Source of the formula: Ioffe & Szegedy 2015, algorithm 2. ``gamma`` None is 1, ``beta`` 0.
        All arrays have shape (channels,).
        """
        with np.errstate(all="ignore"):  # kito.rewrite.numerics refuses what is not finite
            scale = 1.0 / np.sqrt(np.asarray(variance, np.float64) + epsilon)
            if gamma is not None:
                scale = scale * np.asarray(gamma, np.float64)
            shift = -np.asarray(mean, np.float64) * scale
            if beta is not None:
                shift = shift + np.asarray(beta, np.float64)
        return cls(scale, shift, axis)

    @property
    def scales(self) -> bool:
        """Whether it multiplies by anything but 1."""
        return bool(np.any(self.scale != 1.0))

    @property
    def shifts(self) -> bool:
        """Whether it adds anything but 0."""
        return bool(np.any(self.shift != 0.0))

    @property
    def cost(self) -> int:
        """How many element-wise operations on the whole tensor it takes: 0, 1 or 2."""
        return self.scales + self.shifts

    def on_axis(self, axis: int | None) -> Affine:
        """The same map along another axis."""
        return replace(self, axis=axis)

    def along(self, axis: int, channels: int, name: str) -> Affine:
        """The same map as vectors of ``channels`` elements along ``axis``.

        Raises:
            Refused: the channels of the layer called ``name`` are on another axis, or differ in
                number.
        """
        if self.axis is None:
            return Affine.of(np.broadcast_to(self.scale, (channels,)), self.shift, axis, self.adds)
        if self.axis != axis:
            raise Refused(
                f"it works on axis {self.axis}; the channels of '{name}' are on axis {axis}"
            )
        if len(self.scale) != channels:
            raise Refused(f"it has {counted(len(self.scale), 'channel')}, '{name}' has {channels}")
        return self

    def then(self, after: Affine) -> Affine:
        """``after(self(x))`` as one affine.

        Raises:
            Refused: the two work on different axes.
        """
        if self.axis is not None and after.axis is not None and self.axis != after.axis:
            raise Refused(f"one works on axis {self.axis}, the other on axis {after.axis}")
        axis = after.axis if self.axis is None else self.axis
        with np.errstate(all="ignore"):
            shift = after.scale * self.shift + after.shift
            return Affine.of(self.scale * after.scale, shift, axis, self.adds or after.adds)

    def only_scale(self) -> Affine:
        """``y = scale * x``."""
        return replace(self, shift=np.zeros_like(self.shift), adds=False)

    def only_shift(self) -> Affine:
        """``y = x + shift``."""
        return replace(self, scale=np.ones_like(self.scale))

    def negated(self) -> Affine:
        """``y = x - shift``, the inverse of :meth:`only_shift`."""
        return replace(self.only_shift(), shift=-self.shift)

    def shift_first(self) -> Affine:
        """``y = x + shift / scale``: this map is :meth:`only_scale` of it.

        Raises:
            Refused: a scale is zero, or so small that the quotient would lose digits.
        """
        with np.errstate(all="ignore"):
            quotient = self.shift / self.scale
        if not np.all(np.abs(quotient) <= LARGEST_SHIFT):
            raise Refused("its shift cannot come before its scale: a scale is zero or tiny")
        return Affine.of(np.ones_like(self.scale), quotient, self.axis)

    def same_as(self, other: Affine) -> bool:
        """Whether both are the same map, bit for bit."""
        return (
            self.axis == other.axis
            and self.adds == other.adds
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.shift, other.shift)
        )
