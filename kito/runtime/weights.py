"""The weights that a model is checked with: as built, seeded random ones, or those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from kito.errors import KitoError, describe, shown
from kito.graph.keras_internals import all_layers
from kito.runtime.batch import Inputs
from kito.runtime.load import existing_file
from kito.runtime.model_file import check_weights
from kito.runtime.random_weights import randomize_weights


def apply_weights(
    model: keras.Model, weights: str, *, base: Path, inputs: Inputs, seed: int
) -> None:
    """Give a model, in place, the weights that it is checked with.

    Args:
        model: a built model, as :func:`kito.runtime.load.load_model` returns it.
        weights: ``as-built`` (nothing is done), ``random`` (seeded, and calibrated so that the
            outputs depend on the inputs), or a file for ``load_weights``.
        base: the directory that a file is relative to.
        inputs: the samples to calibrate random weights on, by input name, shape (samples, ...).
        seed: seed of random weights.

    Raises:
        KitoError: there is no such file, or it does not fit the model.
    """
    if weights == "as-built":
        return
    if weights == "random":
        randomize_weights(model, inputs, seed)
        return
    path = existing_file(weights, base, "weights")
    try:
        check_weights(path)
        model.load_weights(path)
    except Exception as error:
        raise KitoError(
            f"weights {weights!r} cannot be loaded into model '{shown(model.name)}': "
            f"{shown(describe(error), 400)}"
        ) from error


def is_fresh(model: Any) -> bool:
    """Whether a model seems untrained: its biases and statistics have their initial values."""
    starts = {"bias": 0.0, "beta": 0.0, "moving_mean": 0.0, "gamma": 1.0, "moving_variance": 1.0}
    known = {id(x): x for layer in all_layers(model) for x in layer.weights if x.name in starts}
    fresh = (
        np.all(np.asarray(keras.ops.convert_to_numpy(x.value)) == starts[x.name])
        for x in known.values()
    )
    return bool(known) and all(fresh)
