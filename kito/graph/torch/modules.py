"""What the modules of ``torch.nn`` compute in inference.

Types are looked up exactly, because a subclass may compute anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers
from torch import nn

from kito.graph.torch import describe
from kito.graph.torch.describe import Described, NotDescribed
from kito.graph.torch.op import Largest, Mean, Rectifier, ZeroPadded

_Describe = Callable[[Any, str], Described]
"""Describes a module that computes in a dtype."""


def describe_module(module: nn.Module, dtype: str, rank: int) -> Described:
    """What ``module`` computes of a tensor of ``dtype`` with ``rank`` axes.

    Raises:
        NotDescribed: nobody has described it, or it does something of its own.
    """
    known = _KNOWN.get(type(module))
    if known is None:
        if any(base in _KNOWN for base in type(module).__mro__):
            raise NotDescribed(f"it is a {type(module).__name__}, which may compute anything")
        raise NotDescribed("")
    if "forward" in vars(module):
        raise NotDescribed("its forward was replaced")
    if module.training:
        raise NotDescribed("it stays in training mode, also after eval()")
    if rank not in _RANKS.get(type(module), (rank,)):
        raise NotDescribed("it takes a tensor without an axis for the batch")
    return known(module, dtype)


def _batch_norm(module: Any, dtype: str) -> Described:
    if module.running_mean is None or module.running_var is None:
        raise NotDescribed("it has no running statistics, and normalizes by the batch")
    return describe.batch_normalization(
        module.running_mean, module.running_var, module.weight, module.bias, module.eps
    )


def _instance_norm(module: Any, dtype: str) -> Described:
    if module.track_running_stats and module.running_mean is not None:
        return _batch_norm(module, dtype)
    return describe.group_normalization(module, module.num_features)


def _max_pooling(module: Any, dtype: str) -> Described:
    if module.return_indices:
        raise NotDescribed("it returns indices")
    return Described(Largest(dtype))


def _average_pooling(module: Any, dtype: str) -> Described:
    rank = {nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3}[type(module)]
    return average_pooling(
        dtype,
        rank,
        (module.kernel_size, module.stride),
        module.padding,
        module.ceil_mode,
        (module.count_include_pad, getattr(module, "divisor_override", None)),
    )


def average_pooling(
    dtype: str, rank: int, window: Any, padding: Any, ceil_mode: bool, divisor: Any
) -> Described:
    """An average pooling.

    Args:
        dtype: what it computes in.
        rank: the number of spatial axes.
        window: its kernel size and stride.
        padding: the zeros around its input.
        ceil_mode: whether the last windows may reach beyond the input.
        divisor: whether it counts padded zeros, and the divisor to take instead of the count.
    """
    counts_zeros, other = divisor
    pads = any(padding) if isinstance(padding, tuple | list) else bool(padding)
    if other is not None or (pads and counts_zeros):
        return Described(ZeroPadded(dtype))
    if pads or ceil_mode:
        return Described(Mean(dtype))
    kinds = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
    size, stride = (_wide(x, rank) for x in window)
    layer = kinds[rank - 1](
        size, stride, "valid", data_format="channels_first", name="description", dtype=dtype
    )
    return Described(layer)


def _wide(value: Any, rank: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    return values * rank if len(values) == 1 else values


def _zero_padding(module: Any, dtype: str) -> Described:
    return zero_padding(module.padding, dtype)


def zero_padding(flat: Any, dtype: str) -> Described:
    """Zeros around spatial axes: ``flat`` lists before and after, the last axis first."""
    pads = list(zip(flat[0::2], flat[1::2], strict=True))[::-1]
    if any(n < 0 for pair in pads for n in pair):
        return Described(ZeroPadded(dtype))
    return Described(describe.zeros(pads, dtype))


def _mean(module: Any, dtype: str) -> Described:
    return Described(Mean(dtype))


def _upsample(module: Any, dtype: str) -> Described:
    return interpolation(module.mode, dtype)


MODES = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "area")
"""Interpolations whose weights are not negative and sum to one."""


def interpolation(mode: Any, dtype: str) -> Described:
    """A change of size."""
    if mode not in MODES:
        raise NotDescribed("")
    return Described(Mean(dtype))


def _rectifier(module: Any, dtype: str) -> Described:
    return Described(Rectifier(dtype))


def _adaptive_maximum(module: Any, dtype: str) -> Described:
    return _max_pooling(module, dtype)


def identity(dtype: str) -> Described:
    """What does nothing in inference."""
    return Described(layers.Identity(name="description", dtype=dtype))


def _identity(module: Any, dtype: str) -> Described:
    return identity(dtype)


def _flatten(module: Any, dtype: str) -> Described:
    return reshape(dtype)


def reshape(dtype: str) -> Described:
    """The same elements of each sample in another shape, which the reader gives it."""
    return Described(layers.Reshape((-1,), name="description", dtype=dtype))


def _each(name: str, count: int = 3) -> list[type[nn.Module]]:
    return [getattr(nn, f"{name}{n + 1}d") for n in range(count)]


_KNOWN: dict[type, _Describe] = {
    **dict.fromkeys(_each("Conv"), lambda m, dtype: describe.convolution(m)),
    **dict.fromkeys(_each("ConvTranspose"), lambda m, dtype: describe.transposed(m)),
    nn.Linear: lambda m, dtype: describe.linear(m),
    **dict.fromkeys([*_each("BatchNorm"), nn.SyncBatchNorm], _batch_norm),
    **dict.fromkeys(_each("InstanceNorm"), _instance_norm),
    nn.GroupNorm: lambda m, dtype: describe.group_normalization(m, m.num_groups),
    nn.LayerNorm: lambda m, dtype: describe.layer_normalization(m),
    **dict.fromkeys(_each("MaxPool"), _max_pooling),
    **dict.fromkeys(_each("AvgPool"), _average_pooling),
    **dict.fromkeys(_each("AdaptiveAvgPool"), _mean),
    **dict.fromkeys(_each("AdaptiveMaxPool"), _adaptive_maximum),
    **dict.fromkeys(_each("ZeroPad"), _zero_padding),
    **dict.fromkeys([*_each("ReflectionPad"), *_each("ReplicationPad")], _mean),
    **dict.fromkeys(_each("CircularPad"), _mean),
    nn.Upsample: _upsample,
    nn.ReLU: _rectifier,
    nn.LeakyReLU: _rectifier,
    nn.PReLU: _rectifier,
    nn.Identity: _identity,
    **dict.fromkeys([nn.Dropout, *_each("Dropout")], _identity),
    **dict.fromkeys([nn.AlphaDropout, nn.FeatureAlphaDropout], _identity),
    nn.Flatten: _flatten,
}

_SPATIAL = (
    *("Conv", "ConvTranspose", "InstanceNorm", "MaxPool", "AvgPool", "AdaptiveAvgPool"),
    *("AdaptiveMaxPool", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"),
)
_RANKS: dict[type, tuple[int, ...]] = {
    kind: (n + 3,) for name in _SPATIAL for n, kind in enumerate(_each(name))
}
"""The numbers of axes with which axis 1 holds the channels, where a module takes others too."""
