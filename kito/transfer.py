"""What each layer type can do with an affine: be one, or absorb one that follows it.

For ``A(x) = s * x + t`` on the channels, a layer that is linear up to its activation absorbs an
``A`` after it: ``A(W x + b) = (s W) x + (s b + t)``. One registered :class:`Transfer` per layer
family says which axis of which kernel holds the output channels. Types are looked up exactly: a
subclass may compute anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from kito.affine import Affine, Refused, map_bias, scale_kernel
from kito.errors import KitoError
from kito.nodes import Op


@dataclass(frozen=True)
class Change:
    """New weights, by variable name, and new constructor arguments of a layer."""

    weights: Mapping[str, np.ndarray]
    config: Mapping[str, Any] = field(default_factory=dict)


class Transfer:
    """What one layer family can do with an affine. By default: nothing, and it says so.

    Derive from it to teach the core a layer of your own, and :func:`register` the result.
    """

    def affine(self, op: Op, rank: int) -> Affine | None:
        """The affine that the layer is in inference, on a tensor of ``rank`` axes; or None."""
        return None

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        """The change that makes the layer compute ``affine(layer(x))``.

        Args:
            op: the layer: ``op.layer`` to be read, ``op.weight(name)`` for its weights.
            affine: what follows it.
            rank: number of axes of the layer's output, the batch included.

        Raises:
            Refused: it cannot be done exactly; the message is the reason.
        """
        raise Refused(f"no affine can be folded into '{op.name}' ({op.type_name})")


class BatchNormalization(Transfer):
    """In inference, ``gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta``."""

    def affine(self, op: Op, rank: int) -> Affine | None:
        mean, variance = op.weight("moving_mean"), op.weight("moving_variance")
        if mean is None or variance is None:
            return None
        gamma, beta = op.weight("gamma"), op.weight("beta")
        axis = op.layer.axis % rank
        return Affine.from_normalization(mean, variance, gamma, beta, op.layer.epsilon, axis)


class Kernel(Transfer):
    """Layers with one kernel whose output channels lie on one of its axes.

    Args:
        variable: name of the variable that makes the output channels.
        out_axis: the axis of that kernel that holds them.
    """

    def __init__(self, variable: str = "kernel", out_axis: int = -1) -> None:
        self.variable, self.out_axis = variable, out_axis

    def channel_axis(self, op: Op, rank: int) -> int:
        """The axis of the output that holds the channels."""
        first = getattr(op.layer, "data_format", "channels_last") == "channels_first"
        return 1 if first else rank - 1

    def spread(self, scale: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """``scale``, shape (channels,), shaped to multiply ``kernel`` channel by channel."""
        return scale.reshape([-1] + [1] * (-1 - self.out_axis))

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        layer = op.layer
        check_absorbs(op)
        if affine.axis != self.channel_axis(op, rank):
            raise Refused(
                f"it works on axis {affine.axis}; the channels of '{op.name}' are on axis "
                f"{self.channel_axis(op, rank)}"
            )
        kernel = op.weight(self.variable)
        if kernel is None:
            raise Refused(f"'{op.name}' has no weight named '{self.variable}'")
        compute_dtype = layer.compute_dtype
        scale = self.spread(affine.scale, kernel)
        weights = {
            self.variable: scale_kernel(kernel, scale, compute_dtype),
            "bias": map_bias(op.weight("bias"), affine, kernel.dtype, compute_dtype),
        }
        return Change(weights, {"use_bias": True})


class DepthwiseKernel(Kernel):
    """Kernel of shape (*window, in, depth_multiplier); (i, m) makes channel i * multiplier + m."""

    def spread(self, scale: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return scale.reshape(kernel.shape[-2:])


class TimeDistributed(Transfer):
    """As the wrapped layer, whose tensors lack the axis of time, 1."""

    def affine(self, op: Op, rank: int) -> Affine | None:
        inner = op.inner
        affine = None if inner is None else transfer_of(inner).affine(inner, rank - 1)
        return None if affine is None else affine.on_axis(_outer(affine.axis))

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        inner = op.inner
        if inner is None:
            return super().absorb_following(op, affine, rank)
        if affine.axis == 1:
            raise Refused(f"it works on axis 1, over which '{op.name}' distributes its layer")
        inside = affine.on_axis(0 if affine.axis == 0 else affine.axis - 1)
        return transfer_of(inner).absorb_following(inner, inside, rank - 1)


def _outer(axis: int) -> int:
    return axis if axis == 0 else axis + 1


def check_absorbs(op: Op) -> None:
    """Raise Refused where no layer, of whatever type, could absorb an affine after it."""
    layer = op.layer
    if getattr(layer, "quantization_mode", None):
        raise Refused(f"'{op.name}' is quantized ({layer.quantization_mode})")
    if getattr(layer, "lora_enabled", False):
        raise Refused(f"'{op.name}' has LoRA enabled: merge it into the kernel first")
    activation = getattr(layer, "activation", None)
    if activation is not None and activation is not keras.activations.linear:
        called = getattr(activation, "__name__", type(activation).__name__)
        raise Refused(f"'{op.name}' applies its activation '{called}' before it")


_NOTHING = Transfer()
_TRANSFERS: dict[type, Transfer] = {
    layers.BatchNormalization: BatchNormalization(),
    layers.TimeDistributed: TimeDistributed(),
    layers.Conv1D: Kernel(),
    layers.Conv2D: Kernel(),
    layers.Conv3D: Kernel(),
    layers.Conv1DTranspose: Kernel(out_axis=-2),
    layers.Conv2DTranspose: Kernel(out_axis=-2),
    layers.Conv3DTranspose: Kernel(out_axis=-2),
    layers.DepthwiseConv1D: DepthwiseKernel(),
    layers.DepthwiseConv2D: DepthwiseKernel(),
    layers.SeparableConv1D: Kernel("pointwise_kernel"),
    layers.SeparableConv2D: Kernel("pointwise_kernel"),
    layers.Dense: Kernel(),
}


def register(layer_type: type[Any], transfer: Transfer) -> None:
    """Teach the core what layers of exactly this type can do with an affine.

    Args:
        layer_type: a class of layers; its subclasses are not meant.
        transfer: what they can do; see :class:`Transfer`.

    Raises:
        KitoError: ``layer_type`` is no class of Keras layers, or ``transfer`` no Transfer.
    """
    if not (isinstance(layer_type, type) and issubclass(layer_type, keras.Layer)):
        raise KitoError(f"register() needs a class of Keras layers first; got {layer_type!r}")
    if not isinstance(transfer, Transfer):
        raise KitoError(f"register() needs an instance of a kito.Transfer second; got {transfer!r}")
    _TRANSFERS[layer_type] = transfer


def transfer_of(op: Op) -> Transfer:
    """The transfer registered for exactly the type of the op's layer, or one that refuses."""
    kind = type(op.layer)
    found = _TRANSFERS.get(kind)
    if found is not None:
        return found
    parent = next((base for base in type(op.layer).__mro__[1:] if base in _TRANSFERS), None)
    return _NOTHING if parent is None else _Subclass(parent)


class _Subclass(Transfer):
    def __init__(self, parent: type) -> None:
        self.parent = parent

    def affine(self, op: Op, rank: int) -> Affine | None:
        if issubclass(self.parent, layers.BatchNormalization):
            raise self._refusal(op)
        return None

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        raise self._refusal(op)

    def _refusal(self, op: Op) -> Refused:
        return Refused(
            f"'{op.name}' is a {op.type_name}, a subclass of {self.parent.__name__} that may "
            "compute anything; kito.register() can teach what it does"
        )
