"""Normalizations: they are affines in inference, or end with one.

- BatchNormalization is ``gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta``
  (Ioffe & Szegedy 2015, algorithm 2).
- ``Normalization`` is ``(x - mean) / max(sqrt(variance), epsilon)``, or, inverted,
  ``mean + x * max(sqrt(variance), epsilon)``.
- LayerNormalization and GroupNormalization end with ``gamma * y + beta``, so they absorb an affine
  after them: ``s * (gamma * y + beta) + t = (s * gamma) * y + (s * beta + t)``.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.numerics import cast
from kito.rewrite.transfer.arithmetic import constant_affine
from kito.rewrite.transfer.preconditions import check_plain
from kito.rewrite.transfer.protocol import Change, Shape, Transfer
from kito.rewrite.transfer.registry import provide


class BatchNormalization(Transfer):
    """In inference, ``gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta``."""

    def affine(self, op: Op, rank: int) -> Affine | None:
        mean, variance = op.weight("moving_mean"), op.weight("moving_variance")
        if mean is None or variance is None:
            return None
        gamma, beta = op.weight("gamma"), op.weight("beta")
        axis = op.layer.axis % rank
        return Affine.from_normalization(mean, variance, gamma, beta, op.layer.epsilon, axis)


class Normalization(Transfer):
    """``(x - mean) / max(sqrt(variance), epsilon)``, or, inverted, its inverse."""

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        layer = op.layer
        if layer.mean is None:
            return None
        mean = np.asarray(keras.ops.convert_to_numpy(layer.mean), np.float64)
        variance = np.asarray(keras.ops.convert_to_numpy(layer.variance), np.float64)
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        if layer.invert:
            return constant_affine(deviation, mean, shape)
        return constant_affine(1.0 / deviation, -mean / deviation, shape)


class Scaled(Transfer):
    """Normalizations by statistics of the sample, which end with ``gamma * y + beta``."""

    def axis(self, op: Op, rank: int) -> int:
        """The axis of gamma and beta; raises Refused where they have several."""
        check_plain(op)
        layer = op.layer
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        if len(axes) != 1 or getattr(layer, "rms_scaling", False):
            raise Refused(f"'{op.name}' normalizes over several axes, or has rms_scaling")
        return int(axes[0]) % rank

    def own_affine(self, op: Op, rank: int) -> Affine | None:
        gamma, beta = op.weight("gamma"), op.weight("beta")
        if gamma is None and beta is None:
            return None
        scale, shift = 1.0 if gamma is None else gamma, 0.0 if beta is None else beta
        return Affine.of(scale, shift, self.axis(op, rank), adds=beta is not None)

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        axis, layer = self.axis(op, rank), op.layer
        gamma, beta = op.weight("gamma"), op.weight("beta")
        present = gamma if gamma is not None else beta
        channels = len(affine.scale) if present is None else len(present)
        if present is None and affine.axis is None:
            raise Refused(f"'{op.name}' has no gamma and no beta, so its channels are unknown")
        affine = affine.along(axis, channels, op.name)
        dtype = layer.variable_dtype
        one, zero = np.ones(channels), np.zeros(channels)
        with np.errstate(all="ignore"):
            new_gamma = (one if gamma is None else gamma.astype(np.float64)) * affine.scale
            old_beta = zero if beta is None else beta.astype(np.float64)
            new_beta = old_beta * affine.scale + affine.shift
        weights, config = {}, {}
        if gamma is not None or affine.scales:
            weights["gamma"], config["scale"] = cast(new_gamma, dtype, "gamma", dtype), True
        if beta is not None or affine.shifts:
            weights["beta"], config["center"] = cast(new_beta, dtype, "beta", dtype), True
        return Change(weights, config)


provide(BatchNormalization(), layers.BatchNormalization)
provide(Normalization(), layers.Normalization)
provide(Scaled(), layers.LayerNormalization, layers.GroupNormalization)
