"""What a drawing says about a layer: ``3 x 3, 64, /2`` for a convolution."""

from __future__ import annotations

from typing import Any

import keras

Sizes = tuple[int | None, ...]

_MOST = 60
"""The most characters of a detail."""
_SAME = {"relu", "relu6", "linear", "softmax", "sigmoid", "tanh", "swish", "silu", "gelu"}


def detail(layer: Any) -> str:
    """The settings of a layer that people know it by; empty where there are none."""
    parts = [
        _window(getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)),
        _number(getattr(layer, "filters", None) or getattr(layer, "units", None)),
        _strides(layer),
        _count("/", "groups", layer),
        _dilation(layer),
        _activation(layer),
    ]
    if not any(parts):
        parts = [_amount(layer)]
    return ", ".join(x for x in parts if x)[:_MOST]


def shape_text(shape: Sizes) -> str:
    """The sizes of one sample, ``56×56×64``; ``?`` for an open one."""
    return "×".join("?" if n is None else str(n) for n in shape[1:])


def _window(size: Any) -> str:
    if isinstance(size, int):
        return str(size)
    sizes = size if isinstance(size, tuple | list) else ()
    return "×".join(map(str, sizes)) if all(isinstance(n, int) for n in sizes) else ""


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _strides(layer: Any) -> str:
    strides = getattr(layer, "strides", None)
    strides = (strides,) if isinstance(strides, int) else strides
    if not isinstance(strides, tuple | list) or all(n == 1 for n in strides):
        return ""
    return f"/{strides[0]}" if len(set(strides)) == 1 else f"/{_window(strides)}"


def _dilation(layer: Any) -> str:
    rate = getattr(layer, "dilation_rate", 1)
    rates = (rate,) if isinstance(rate, int) else rate
    if not isinstance(rates, tuple | list) or all(n == 1 for n in rates):
        return ""
    return f"dilation {rates[0]}" if len(set(rates)) == 1 else f"dilation {_window(rates)}"


def _count(_: str, name: str, layer: Any) -> str:
    value = getattr(layer, name, 1)
    return f"{value} {name}" if isinstance(value, int) and value > 1 else ""


def _activation(layer: Any) -> str:
    function = getattr(layer, "activation", None)
    if function in (None, keras.activations.linear):
        return ""
    name = getattr(function, "__name__", None) or getattr(function, "name", "")
    return str(name)


def _amount(layer: Any) -> str:
    padding = getattr(layer, "padding", None) or getattr(layer, "cropping", None)
    if isinstance(padding, tuple | list):
        pairs = [_pair(x) for x in padding]
        return pairs[0] if len(set(pairs)) == 1 else ", ".join(pairs)
    if isinstance(layer, keras.layers.Dropout):
        return f"{layer.rate:g}"
    if isinstance(layer, keras.layers.ReLU) and layer.max_value is not None:
        return f"up to {layer.max_value:g}"
    return _window(getattr(layer, "size", None))


def _pair(value: Any) -> str:
    if isinstance(value, tuple | list):
        return str(value[0]) if len(set(value)) == 1 else "+".join(map(str, value))
    return str(value)
