"""``kito.reduce`` on the same terms as a peer: it converts, timed, and its outputs are compared."""

from __future__ import annotations

import gc
import time
from typing import Any

import keras
import numpy as np

import kito
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights

SAMPLES = 4


class Ours:
    """A network of ``keras.applications`` with calibrated random weights, and its reduction."""

    def __init__(self, network: str, options: dict[str, Any]) -> None:
        self.model = getattr(keras.applications, network)(weights=None, **options)
        images = random_inputs(self.model, samples=SAMPLES, seed=1, high=255.0)
        randomize_weights(self.model, images, seed=2)
        self.reduction: kito.Reduction | None = None
        kito.reduce(_small())  # the first call pays for imports

    def convert(self) -> float:
        """Seconds of one ``kito.reduce``."""
        self.reduction = None
        gc.collect()
        start = time.perf_counter()
        self.reduction = kito.reduce(self.model)
        return time.perf_counter() - start

    def compare(self) -> dict[str, Any]:
        """``layers`` and ``batchnorms`` before and after, and the ``difference`` of outputs."""
        assert self.reduction is not None
        (images,) = random_inputs(self.model, samples=SAMPLES, seed=3, high=255.0).values()
        right, result = (
            keras.ops.convert_to_numpy(model(images, training=False))
            for model in (self.model, self.reduction.model)
        )
        difference = np.abs(result.astype("float64") - right)
        return {
            "layers": list(self.reduction.layers),
            "batchnorms": list(self.reduction.batchnorms),
            "difference": {
                "max": float(difference.max()),
                "mean": float(difference.mean()),
                "scale": float(np.abs(right).max()),
            },
        }


def _small() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.layers.ReLU()(x))
