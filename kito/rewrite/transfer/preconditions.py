"""Conditions that several layer families share: each check raises Refused with the reason."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kito.errors import counted
from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.transfer.protocol import Shape

HOMOGENEOUS = (keras.activations.relu, keras.activations.leaky_relu)
"""Activations with ``f(s * x) = s * f(x)`` for s > 0, called with their default arguments."""

ELEMENTWISE = tuple(
    getattr(keras.activations, name)
    for name in (
        *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid"),
        *("hard_sigmoid", "hard_silu", "tanh", "softplus", "softsign", "exponential", "mish"),
    )
)
"""Activations that look at one element at a time; softmax does not."""


def check_plain(op: Op) -> None:
    """Raise Refused where the layer computes with other weights than its variables hold."""
    layer = op.layer
    if getattr(layer, "quantization_mode", None):
        raise Refused(f"'{op.name}' is quantized ({layer.quantization_mode})")
    if getattr(layer, "lora_enabled", False):
        raise Refused(f"'{op.name}' has LoRA enabled: merge it into the kernel first")


def check_bias_axis(op: Op, shape: Shape) -> None:
    """Raise Refused where Keras may add a bias to a result of ``shape`` along a wrong axis.

    On TensorFlow, Keras takes the last axis wherever that has as many elements as the bias. PyTorch
    runs the layers of its modules itself.
    """
    keras_adds = op.runtime == "keras" and keras.config.backend() == "tensorflow"
    first = is_channels_first(op.layer) and len(shape) > 2
    if first and keras_adds and shape[-1] in (None, shape[1]):
        raise Refused(
            f"'{op.name}' has channels first, and Keras may add its bias along the last axis"
        )


def check_absorbs(op: Op, affine: Affine) -> None:
    """Raise Refused where a layer cannot absorb ``affine`` after it, because of its activation.

    A ReLU-like activation lets positive scales pass, and no shift.
    """
    check_plain(op)
    activation = op.setting("activation")
    if activation is None or activation is keras.activations.linear:
        return
    reason = f"'{op.name}' applies its activation '{activation_name(activation)}' before it"
    if activation not in HOMOGENEOUS:
        raise Refused(reason)
    check_positive(affine, reason)
    if affine.shifts:
        raise Refused(f"{reason}; the shift cannot pass that")


def activation_name(activation: Any) -> str:
    """The name of an activation: a function, or a layer."""
    return str(getattr(activation, "__name__", type(activation).__name__))


def check_positive(affine: Affine, reason: str, zero: bool = False) -> None:
    """Raise Refused unless every scale is positive; with ``zero``, zero is allowed too.

    NaN is not. The message begins with ``reason``.
    """
    valid = affine.scale >= 0 if zero else affine.scale > 0
    if not np.all(valid):
        wrong, count = int(np.count_nonzero(~valid)), len(valid)
        kind = "not negative" if zero else "positive"
        where = (
            counted(wrong, f"of {count} channels is not", f"of {count} channels are not")
            if count > 1
            else "it is not"
        )
        raise Refused(f"{reason}; the scale passes only where it is {kind}: {where}")


def check_only_scale(affine: Affine, reason: str) -> None:
    """Raise Refused, with ``reason``, where there is a shift."""
    if affine.shifts:
        raise Refused(reason)
