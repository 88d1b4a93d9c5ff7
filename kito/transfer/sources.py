"""Layers and operations that are affines themselves, or end with one.

- BatchNormalization in inference, ``gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) +
  beta`` (Ioffe & Szegedy 2015, algorithm 2);
- ``Rescaling``: ``scale * x + offset``;
- ``Normalization``: ``(x - mean) / max(sqrt(variance), epsilon)``, or, inverted,
  ``mean + x * max(sqrt(variance), epsilon)``;
- sums, differences, products and quotients of a tensor and a constant, and ``-x``;
- the LayerScale of ``keras.applications.convnext``: ``gamma * x``; the scaled residual of
  ``keras.applications.inception_resnet_v2``: ``x + scale * y``.

LayerNormalization and GroupNormalization end with ``gamma * y + beta``, so they absorb an affine
that follows: ``s * (gamma * y + beta) + t = (s * gamma) * y + (s * beta + t)``.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from kito.affine import Affine, Refused, check_range
from kito.nodes import Node, Op
from kito.transfer.base import Change, Shape, Transfer, check_plain, provide


class BatchNormalization(Transfer):
    """In inference, ``gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta``."""

    def affine(self, op: Op, rank: int) -> Affine | None:
        mean, variance = op.weight("moving_mean"), op.weight("moving_variance")
        if mean is None or variance is None:
            return None
        gamma, beta = op.weight("gamma"), op.weight("beta")
        axis = op.layer.axis % rank
        return Affine.from_normalization(mean, variance, gamma, beta, op.layer.epsilon, axis)


def constant_affine(scale: Any, shift: Any, shape: Shape) -> Affine | None:
    """``scale * x + shift`` for a tensor of ``shape``; None where it is not per channel.

    Constants of one element work on no axis in particular; others must vary along one axis only,
    which must be as long as the tensor's, or the result would be larger than the tensor.
    """
    scale, shift = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
    if max(scale.ndim, shift.ndim) > len(shape):
        return None
    wide = np.broadcast_shapes(scale.shape, shift.shape)
    axes = [i + len(shape) - len(wide) for i, n in enumerate(wide) if n != 1]
    if not axes:
        return Affine.of(scale, shift, None)
    if len(axes) > 1 or axes[0] == 0 or shape[axes[0]] != max(wide):
        return None
    return Affine.of(scale, shift, axes[0])


def _as_computed(value: Any, dtype: str) -> np.ndarray:
    """A constant as the layer has it after its cast, in float64."""
    cast = keras.ops.cast(keras.ops.convert_to_tensor(value), dtype)
    # NumPy widens it: JAX has no float64 unless it is told to.
    return np.asarray(keras.ops.convert_to_numpy(cast), np.float64)


class Rescaling(Transfer):
    """``scale * x + offset``."""

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        layer = op.layer
        scale = _as_computed(layer.scale, layer.compute_dtype)
        offset = _as_computed(layer.offset, layer.compute_dtype)
        if keras.config.image_data_format() == "channels_first" and scale.ndim + offset.ndim:
            return None  # Keras then moves the axis of one of them
        return constant_affine(scale, offset, shape)


class Normalization(Transfer):
    """``(x - mean) / max(sqrt(variance), epsilon)``, or its inverse."""

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


class LayerScale(Transfer):
    """``gamma * x``, with gamma of shape (channels,)."""

    def affine(self, op: Op, rank: int) -> Affine | None:
        gamma = op.weight(op.layer.gamma.name)
        return None if gamma is None else Affine.of(gamma, 0.0, rank - 1, adds=False)


class ScaledSum(Transfer):
    """``inputs[0] + inputs[1] * scale`` with a scale for all elements."""

    def scaled_operand(self, op: Op) -> tuple[int, Affine] | None:
        scale = np.asarray(op.layer.scale, np.float64)
        return None if scale.size != 1 else (1, Affine.of(scale, 0.0, None, adds=False))


class Arithmetic(Transfer):
    """A tensor and a constant, in either order; ``sign`` is the operation's symbol."""

    def __init__(self, sign: str) -> None:
        self.sign = sign

    def affine_of_call(self, node: Node) -> Affine | None:
        data = node.data
        if data is None or node.kwargs or len(node.inputs) != 1 or "float" not in data.dtype:
            return None
        if self.sign == "neg":
            return Affine.of(-1.0, 0.0, None, adds=False)
        if len(node.args) != 2:
            return None
        first = node.args[0] is data
        other = node.args[1 if first else 0]
        if not isinstance(other, int | float | np.ndarray) and not keras.ops.is_tensor(other):
            return None
        constant = _as_computed(other, data.dtype)
        affine = self._affine(constant, first, data.shape)
        # Keras on TensorFlow adds a vector along the last axis where that is long enough, whatever
        # axis it is meant for.
        odd = affine is not None and affine.axis not in (None, len(data.shape) - 1)
        return None if odd and self.sign in "+-" else affine

    def _affine(self, constant: np.ndarray, first: bool, shape: Shape) -> Affine | None:
        with np.errstate(all="ignore"):
            if self.sign == "*":
                return _scale(constant, shape)
            if self.sign == "/":
                return _scale(1.0 / constant, shape) if first else None
            if self.sign == "+":
                return constant_affine(1.0, constant, shape)
            return constant_affine(*((1.0, -constant) if first else (-1.0, constant)), shape)


def _scale(constant: np.ndarray, shape: Shape) -> Affine | None:
    affine = constant_affine(constant, 0.0, shape)
    return None if affine is None else affine.only_scale()


class Scaled(Transfer):
    """Normalizations by the sample: ``gamma * y + beta`` along their axis comes last."""

    def axis(self, op: Op, rank: int) -> int:
        """The axis of gamma and beta."""
        check_plain(op)
        layer = op.layer
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        if len(axes) != 1 or getattr(layer, "rms_scaling", False):
            raise Refused(f"'{op.name}' normalizes over several axes, or scales by their spread")
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
        known = gamma if gamma is not None else beta
        channels = len(affine.scale) if known is None else len(known)
        if known is None and affine.axis is None:
            raise Refused(f"'{op.name}' has no gamma and no beta to tell its channels by")
        affine = affine.along(axis, channels, op.name)
        dtype = np.dtype(layer.variable_dtype)
        one, zero = np.ones(channels), np.zeros(channels)
        with np.errstate(all="ignore"):
            new_gamma = (one if gamma is None else gamma.astype(np.float64)) * affine.scale
            old_beta = zero if beta is None else beta.astype(np.float64)
            new_beta = old_beta * affine.scale + affine.shift
        weights, config = {}, {}
        if gamma is not None or affine.scales:
            weights["gamma"], config["scale"] = new_gamma.astype(dtype), True
        if beta is not None or affine.shifts:
            weights["beta"], config["center"] = new_beta.astype(dtype), True
        for name, values in weights.items():
            check_range(values, name, layer.variable_dtype)
        return Change(weights, config)


provide(BatchNormalization(), layers.BatchNormalization)
provide(Rescaling(), layers.Rescaling)
provide(Normalization(), layers.Normalization)
provide(Scaled(), layers.LayerNormalization, layers.GroupNormalization)
provide(LayerScale(), "applications.convnext.LayerScale")
provide(ScaledSum(), "applications.inception_resnet_v2.CustomScaleLayer")
provide(Arithmetic("neg"), "ops.numpy.Negative")
provide(Arithmetic("-"), "ops.numpy.Subtract")
provide(Arithmetic("/"), "ops.numpy.Divide", "ops.numpy.TrueDivide")
