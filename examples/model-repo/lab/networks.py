"""The two networks."""

from __future__ import annotations

import keras
from keras import layers

from lab.layers import ChannelGain


def classifier() -> keras.Model:
    """Images ``(batch, 8, 8, 1)`` to scores ``(batch, 10)``."""
    image = keras.Input((8, 8, 1), name="image")
    x = image
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = ChannelGain()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(10, name="scores")(x), name="classifier")


def denoiser() -> keras.Model:
    """Noisy images ``(batch, 8, 8, 1)`` to clean ones."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    for _ in range(2):
        y = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(y))
        y = layers.Conv2D(16, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(momentum=0.9)(y)
        x = layers.ReLU()(layers.Add()([x, y]))
    clean = layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="clean")(x)
    return keras.Model(image, clean, name="denoiser")
