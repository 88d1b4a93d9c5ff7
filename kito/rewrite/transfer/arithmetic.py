"""Layers and operations that scale or shift by constants: they are affines themselves.

- ``Rescaling`` is ``scale * x + offset``;
- a tensor and a constant: ``x + c``, ``x - c``, ``c - x``, ``x * c``, ``x / c``; and ``-x``. Sums
  and products also join two tensors, so :mod:`kito.rewrite.transfer.merging` registers those;
- the LayerScale of ``keras.applications.convnext`` is ``gamma * x``;
- the scaled residual of ``keras.applications.inception_resnet_v2`` is ``x + scale * y``, whose
  second operand has an affine.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Node, Op
from kito.rewrite.affine import Affine
from kito.rewrite.transfer.protocol import Shape, Transfer
from kito.rewrite.transfer.registry import provide


def constant_affine(scale: Any, shift: Any, shape: Shape) -> Affine | None:
    """``scale * x + shift`` for a tensor of ``shape``; None where it is not per channel.

    Constants of one element apply to all channels. Others must vary along one axis only, and be as
    long as that axis of the tensor: otherwise the result would be larger than the tensor.
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
    """A constant rounded to the dtype in which the layer computes, then in float64."""
    rounded = keras.ops.cast(keras.ops.convert_to_tensor(value), dtype)
    # NumPy converts to float64, because JAX has none by default.
    return np.asarray(keras.ops.convert_to_numpy(rounded), np.float64)


class Rescaling(Transfer):
    """``scale * x + offset``."""

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        layer = op.layer
        scale = _as_computed(layer.scale, layer.compute_dtype)
        offset = _as_computed(layer.offset, layer.compute_dtype)
        if keras.config.image_data_format() == "channels_first" and scale.ndim + offset.ndim:
            return None  # Keras moves the axis of such arrays
        return constant_affine(scale, offset, shape)


class LayerScale(Transfer):
    """``gamma * x``, with gamma of shape (channels,), of ``keras.applications.convnext``."""

    def affine(self, op: Op, rank: int) -> Affine | None:
        gamma = op.weight(op.layer.gamma.name)
        return None if gamma is None else Affine.of(gamma, 0.0, rank - 1, adds=False)


class ScaledSum(Transfer):
    """``inputs[0] + inputs[1] * scale``, with one scale for all elements."""

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
        # Keras on TensorFlow adds a vector along the last axis if that has as many elements, even
        # where the vector belongs to another axis.
        ambiguous = affine is not None and affine.axis not in (None, len(data.shape) - 1)
        return None if ambiguous and self.sign in "+-" else affine

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


provide(Rescaling(), layers.Rescaling)
provide(LayerScale(), "applications.convnext.LayerScale")
provide(ScaledSum(), "applications.inception_resnet_v2.CustomScaleLayer")
provide(Arithmetic("neg"), "ops.numpy.Negative")
provide(Arithmetic("-"), "ops.numpy.Subtract")
provide(Arithmetic("/"), "ops.numpy.Divide", "ops.numpy.TrueDivide")
