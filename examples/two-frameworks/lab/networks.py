"""The same small network in both frameworks."""

from __future__ import annotations

from typing import Any


def keras_digits() -> Any:
    """Images ``(batch, 8, 8, 1)`` to scores ``(batch, 10)``."""
    import keras
    from keras import layers

    image = keras.Input((8, 8, 1), name="image")
    x = image
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(10, name="scores")(x), name="keras_digits")


def torch_digits() -> Any:
    """Images ``(batch, 1, 8, 8)`` to scores ``(batch, 10)``."""
    from torch import nn

    class Digits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
                nn.MaxPool2d(2),
                *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
                nn.MaxPool2d(2),
            )
            self.scores = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10))

        def forward(self, image: Any) -> Any:
            return self.scores(self.features(image))

    return Digits()
