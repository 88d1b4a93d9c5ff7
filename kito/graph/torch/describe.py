"""Descriptions of convolutions, products, normalizations and paddings, from their settings.

Modules and functions of PyTorch with the same meaning get the same description.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from keras import layers
from torch import nn

from kito.graph.torch.op import Mean, TransposedConvolution, WideConvolution

DTYPES = ("float64", "float32", "float16", "bfloat16")
"""What descriptions compute in; other calls stay opaque."""


class NotDescribed(Exception):
    """A call stays opaque; the message says why, or is empty where nobody has described it."""


@dataclass
class Described:
    """What one call computes.

    Attributes:
        layer: a layer that is not built, or a description.
        weights: by the names that they have in ``layer``, in its layout.
        template: a module in which the writer can replace weights; None where none can change.
        padding: what the call does before ``layer``, where it pads: a layer or description.
        pads: the elements that ``padding`` adds before and after, along each spatial axis.
        joined: whether the layer takes its operands in one list.
    """

    layer: Any
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    template: nn.Module | None = None
    padding: Any = None
    pads: list[tuple[int, int]] = field(default_factory=list)
    joined: bool = False


def to_numpy(value: torch.Tensor) -> np.ndarray:
    """The elements of a float tensor, without a copy where it is on the CPU.

    Raises:
        NotDescribed: NumPy has no such dtype, or the tensor has no elements in memory.
    """
    if type(value) not in (torch.Tensor, nn.Parameter):  # one that is quantized, or distributed
        raise NotDescribed(f"its weights are a {type(value).__name__}")
    value = value.detach()
    if value.is_meta or value.is_sparse or value.is_quantized:
        raise NotDescribed("its weights are not plain tensors")
    if value.dtype is torch.bfloat16:
        import ml_dtypes

        bits: np.ndarray = value.cpu().view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    if dtype_name(value.dtype) not in DTYPES:
        raise NotDescribed(f"its weights are {value.dtype}")
    array: np.ndarray = value.cpu().numpy()
    return array


def dtype_name(dtype: torch.dtype) -> str:
    """The name of a dtype in Keras."""
    return str(dtype).removeprefix("torch.")


def _common_dtype(*values: torch.Tensor | None) -> str:
    dtypes = {dtype_name(x.dtype) for x in values if x is not None}
    if len(dtypes) != 1 or not dtypes <= set(DTYPES):
        raise NotDescribed(f"its weights are {', '.join(sorted(dtypes))}")
    return dtypes.pop()


def convolution(conv: Any) -> Described:
    """A module of the types ``nn.Conv1d``, ``nn.Conv2d`` and ``nn.Conv3d``."""
    rank = len(conv.kernel_size)
    dtype = _common_dtype(conv.weight, conv.bias)
    kernel = np.moveaxis(to_numpy(conv.weight), (0, 1), (-1, -2))
    weights = _with_bias({"kernel": kernel}, conv.bias)
    pads = _pads(conv, rank)
    settings = {
        "strides": tuple(conv.stride),
        "dilation_rate": tuple(conv.dilation),
        "groups": conv.groups,
        "data_format": "channels_first",
        "use_bias": conv.bias is not None,
        "name": "description",
        "dtype": dtype,
    }
    kind = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
    wide = max(conv.stride) > 1 and max(conv.dilation) > 1
    layer = (
        WideConvolution(dtype, conv.groups)
        if wide
        else kind(conv.out_channels, tuple(conv.kernel_size), padding="valid", **settings)
    )
    padding = None
    if any(before or after for before, after in pads):
        padding = zeros(pads, dtype) if conv.padding_mode == "zeros" else Mean(dtype)
    return Described(layer, weights, conv, padding, pads if padding is not None else [])


def zeros(pads: list[tuple[int, int]], dtype: str) -> Any:
    """Zeros before and after, along each spatial axis."""
    kinds = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
    padding: Any = pads[0] if len(pads) == 1 else tuple(pads)
    return kinds[len(pads) - 1](
        padding, data_format="channels_first", name="description", dtype=dtype
    )


def _pads(conv: Any, rank: int) -> list[tuple[int, int]]:
    if conv.padding == "valid":
        return [(0, 0)] * rank
    if conv.padding == "same":
        totals = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return [(n // 2, n - n // 2) for n in totals]
    return [(n, n) for n in conv.padding]


def transposed(conv: Any) -> Described:
    """A module of the types ``nn.ConvTranspose1d`` to ``nn.ConvTranspose3d``."""
    dtype = _common_dtype(conv.weight, conv.bias)
    weight = to_numpy(conv.weight)
    grouped = weight.reshape(conv.groups, -1, *weight.shape[1:])  # groups, in, out, *window
    kernel = np.moveaxis(grouped, (0, 2, 1), (-3, -2, -1))
    layer = TransposedConvolution(dtype)
    layer.use_bias = conv.bias is not None
    return Described(layer, _with_bias({"kernel": kernel}, conv.bias), conv)


def linear(module: Any) -> Described:
    """A module of the type ``nn.Linear``."""
    dtype = _common_dtype(module.weight, module.bias)
    layer = layers.Dense(
        module.out_features,
        use_bias=module.bias is not None,
        name="description",
        dtype=dtype,
    )
    return Described(layer, _with_bias({"kernel": to_numpy(module.weight).T}, module.bias), module)


def batch_normalization(
    mean: torch.Tensor, variance: torch.Tensor, gamma: Any, beta: Any, epsilon: float
) -> Described:
    """Normalization by given statistics, along axis 1."""
    dtype = _common_dtype(mean, variance, gamma, beta)
    layer = layers.BatchNormalization(axis=1, epsilon=epsilon, name="description", dtype=dtype)
    weights = {"moving_mean": to_numpy(mean), "moving_variance": to_numpy(variance)}
    given = {"gamma": gamma, "beta": beta}
    weights |= {name: to_numpy(x) for name, x in given.items() if x is not None}
    return Described(layer, weights)


def group_normalization(module: Any, groups: int) -> Described:
    """``nn.GroupNorm``, or ``nn.InstanceNorm1d`` to ``3d`` without statistics."""
    if module.weight is None and module.bias is None:
        raise NotDescribed("")
    dtype = _common_dtype(module.weight, module.bias)
    layer = layers.GroupNormalization(
        groups, axis=1, epsilon=module.eps, name="description", dtype=dtype
    )
    return Described(layer, _gamma_and_beta(module), module)


def layer_normalization(module: Any) -> Described:
    """``nn.LayerNorm`` over the last axis."""
    if len(module.normalized_shape) != 1 or module.weight is None:
        raise NotDescribed("")
    dtype = _common_dtype(module.weight, module.bias)
    layer = layers.LayerNormalization(axis=-1, epsilon=module.eps, name="description", dtype=dtype)
    return Described(layer, _gamma_and_beta(module), module)


def _gamma_and_beta(module: Any) -> dict[str, np.ndarray]:
    given = {"gamma": module.weight, "beta": module.bias}
    return {name: to_numpy(x) for name, x in given.items() if x is not None}


def _with_bias(weights: dict[str, np.ndarray], bias: torch.Tensor | None) -> dict[str, np.ndarray]:
    return weights if bias is None else {**weights, "bias": to_numpy(bias)}
