"""ZF_UNET_224: the U-Net of 224 x 224 images that KITO's own table measures.

Published description: an encoder of six levels with 32, 64, ... 1024 filters, a decoder that
mirrors it with skip connections, twice ``Conv2D`` with bias, ``BatchNormalization``, ReLU a level,
spatial dropout before a 1 x 1 convolution with a sigmoid. 85 layers, 31,466,753 parameters; 22
BatchNormalization over 6,016 channels, so that folding leaves 63 layers and 31,442,689 parameters.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

ENCODER_FILTERS = (32, 64, 128, 256, 512, 1024)


def build(weights: str | Path | None = None, size: int = 224) -> keras.Model:
    """The network: images ``(batch, size, size, 3)`` -> masks ``(batch, size, size, 1)`` in 0..1.

    ``weights`` is a file for ``load_weights``, or None for fresh weights. ``size`` is in pixels, a
    multiple of 32; it changes no weight's shape.
    """
    image = layers.Input((size, size, 3), name="image")
    x = image
    skips: list[tuple[keras.KerasTensor, int]] = []
    for level, filters in enumerate(ENCODER_FILTERS[:-1]):
        x = _double_conv(x, filters, f"down{level}")
        skips.append((x, filters))
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = _double_conv(x, ENCODER_FILTERS[-1], "bottom")
    for level, (skip, filters) in reversed(list(enumerate(skips))):
        x = layers.UpSampling2D(2, name=f"up{level}_upsample")(x)
        x = layers.Concatenate(name=f"up{level}_concat")([x, skip])
        x = _double_conv(x, filters, f"up{level}")
    x = layers.SpatialDropout2D(0.2, name="dropout")(x)
    x = layers.Conv2D(1, 1, name="logits")(x)
    mask = layers.Activation("sigmoid", name="mask")(x)
    model = keras.Model(image, mask, name="zf_unet_224")
    if weights is not None:
        model.load_weights(weights)
    return model


def _double_conv(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Twice: 3 x 3 convolution, normalization, ReLU."""
    for index in (1, 2):
        x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv{index}")(x)
        x = layers.BatchNormalization(name=f"{name}_bn{index}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{index}")(x)
    return x
