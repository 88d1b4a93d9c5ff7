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
        self.reduced: Any = None
        kito.reduce(_small())  # the first call pays for imports

    def convert(self) -> float:
        """Seconds of one ``kito.reduce``."""
        self.reduced = None
        gc.collect()
        start = time.perf_counter()
        self.reduced = kito.reduce(self.model).model
        return time.perf_counter() - start

    def compare(self) -> dict[str, Any]:
        """``layers`` and ``batchnorms`` before and after, and the ``difference`` of outputs."""
        (images,) = random_inputs(self.model, samples=SAMPLES, seed=3, high=255.0).values()
        right, result = (
            keras.ops.convert_to_numpy(model(images, training=False))
            for model in (self.model, self.reduced)
        )
        difference = np.abs(result.astype("float64") - right)
        return {
            "layers": [len(self.model.layers), len(self.reduced.layers)],
            "batchnorms": [_norms(self.model), _norms(self.reduced)],
            "difference": {
                "max": float(difference.max()),
                "mean": float(difference.mean()),
                "scale": float(np.abs(right).max()),
            },
        }


def _norms(model: keras.Model) -> int:
    return sum(isinstance(x, keras.layers.BatchNormalization) for x in model.layers)


def _small() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.layers.ReLU()(x))
