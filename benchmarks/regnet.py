"""RegNetX-200MF: a network of grouped convolutions.

The design is that of Radosavovic et al. 2020, "Designing Network Design Spaces" (arXiv:2003.13678):
its X block, with the depths, widths and group width of the model of 200 MF.
"""

from __future__ import annotations

from typing import Any

import keras

L = keras.layers

_STEM, _GROUP_WIDTH = 32, 8
_STAGES = ((1, 24), (1, 56), (4, 152), (7, 368))
"""(blocks, channels) of each stage; the first block of a stage halves the resolution."""


def build(size: int = 224) -> keras.Model:
    """The network for square images of ``size`` pixels and 1000 classes, with fresh weights."""
    image = keras.Input((size, size, 3))
    x = _normalized(image, _STEM, kernel=3, stride=2)
    x = L.ReLU()(x)
    for blocks, channels in _STAGES:
        for block in range(blocks):
            x = _block(x, channels, stride=1 if block else 2)
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, L.Dense(1000, activation="softmax")(x), name="regnetx002")


def _block(x: Any, channels: int, stride: int) -> Any:
    inner = L.ReLU()(_normalized(x, channels))
    groups = channels // _GROUP_WIDTH
    inner = L.ReLU()(_normalized(inner, channels, kernel=3, stride=stride, groups=groups))
    inner = _normalized(inner, channels)
    shortcut = x if stride == 1 else _normalized(x, channels, stride=stride)
    return L.ReLU()(L.Add()([inner, shortcut]))


def _normalized(x: Any, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Any:
    convolution = L.Conv2D(channels, kernel, stride, padding="same", groups=groups, use_bias=False)
    return L.BatchNormalization()(convolution(x))
