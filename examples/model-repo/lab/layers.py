"""A layer of this repository, and what kito must know of it."""

from __future__ import annotations

from typing import Any

import keras

import kito


@keras.saving.register_keras_serializable("lab")
class ChannelGain(keras.layers.Layer):
    """``gain * x``: a trained factor for each channel, images with their channels last."""

    def build(self, shape: Any) -> None:
        """Create the factors, which begin as ones."""
        self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        """Multiply each channel by its factor."""
        return self.gain * x


class ChannelGainTransfer(kito.Transfer):
    """The layer is an affine along the last axis, so convolutions can absorb it."""

    def affine(self, op: Any, rank: int) -> kito.Affine:
        """The affine that the layer applies to a tensor with ``rank`` axes."""
        return kito.Affine.of(op.weight("gain"), 0.0, axis=rank - 1, adds=False)


kito.register(ChannelGain, ChannelGainTransfer())

CUSTOM_OBJECTS = {"lab>ChannelGain": ChannelGain}
"""What a model file of this repository needs besides Keras' own layers."""
