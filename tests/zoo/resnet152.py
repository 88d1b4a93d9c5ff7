"""ResNet-152 of the keras-resnet kind (He et al. 2015, arXiv:1512.03385, table 1).

It differs from ``keras.applications.ResNet152`` in what matters to a fold: its convolutions have no
bias (each fold adds one, so C channels lose 3C parameters and not 4C), and the 3 x 3 convolutions
are ``valid`` ones behind a ``ZeroPadding2D``. keras-resnet's BatchNormalization can be frozen for
training; in inference it is the stock layer, which stands here. 155 BatchNormalization over 75,712
channels: 60,344,232 parameters before, 60,117,096 after.
"""

from __future__ import annotations

import keras
from keras import layers

BLOCKS = (3, 8, 36, 3)
"""Bottlenecks in each of the four stages."""


def build(size: int = 224) -> keras.Model:
    """The network: images ``(batch, size, size, 3)`` -> probabilities ``(batch, 1000)``.

    ``size`` is in pixels, at least 32; it changes no weight's shape.
    """
    image = layers.Input((size, size, 3), name="image")
    x = _conv_bn(image, 64, 7, "stem", strides=2, padding="same")
    x = layers.Activation("relu", name="stem_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, blocks in enumerate(BLOCKS):
        for block in range(blocks):
            x = _bottleneck(x, 64 * 2**stage, f"stage{stage}_block{block}", stage, block)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    probabilities = layers.Dense(1000, activation="softmax", name="probabilities")(x)
    return keras.Model(image, probabilities, name="resnet152")


def _bottleneck(
    x: keras.KerasTensor, filters: int, name: str, stage: int, block: int
) -> keras.KerasTensor:
    """1 x 1, 3 x 3, 1 x 1 to four times the filters, added to the input (projected in block 0)."""
    strides = 2 if stage > 0 and block == 0 else 1
    y = _conv_bn(x, filters, 1, f"{name}_a", strides=strides)
    y = layers.Activation("relu", name=f"{name}_a_relu")(y)
    y = layers.ZeroPadding2D(1, name=f"{name}_b_pad")(y)
    y = _conv_bn(y, filters, 3, f"{name}_b")
    y = layers.Activation("relu", name=f"{name}_b_relu")(y)
    y = _conv_bn(y, 4 * filters, 1, f"{name}_c")
    if block == 0:
        x = _conv_bn(x, 4 * filters, 1, f"{name}_shortcut", strides=strides)
    y = layers.Add(name=f"{name}_add")([y, x])
    return layers.Activation("relu", name=f"{name}_relu")(y)


def _conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    name: str,
    strides: int = 1,
    padding: str = "valid",
) -> keras.KerasTensor:
    """A convolution without bias, then its normalization."""
    x = layers.Conv2D(
        filters, kernel, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x)
