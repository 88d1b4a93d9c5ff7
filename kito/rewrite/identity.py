"""Which layers do nothing in inference: ``layer(x, training=False) = x``.

- the Dropout family and the noise layers, which act in training only;
- ``Random*`` augmentation, likewise, except ``RandomCrop``, which crops in inference too;
- ``Activation("linear")``, ``Identity``, ``ActivityRegularization``.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

_NAMES = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "ActivityRegularization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)

IDENTITIES = frozenset(getattr(layers, name) for name in _NAMES if hasattr(layers, name))
"""The classes of :data:`_NAMES` that the installed Keras has."""


def is_identity(layer: Any) -> bool:
    """Whether ``layer`` does nothing in inference, except perhaps cast its input to its dtype."""
    if type(layer) is layers.Activation:
        return layer.activation is keras.activations.linear
    return type(layer) in IDENTITIES
