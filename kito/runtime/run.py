"""One inference call of a model, and its outputs as NumPy arrays."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError, describe
from kito.graph.inference import without_gradients
from kito.runtime.batch import Inputs, call_arguments
from kito.runtime.engine import LoadedFile


def call_model(model: Any, batch: Inputs) -> Any:
    """The outputs of one call in inference, in the model's own structure.

    Raises:
        KitoError: the model cannot be run on this batch.
    """
    try:
        if isinstance(model, LoadedFile):
            return model.run(batch)
        with without_gradients():
            return model(call_arguments(model, batch), training=False)
    except Exception as error:  # a layer or the backend may raise anything
        shapes = {name: values.shape for name, values in batch.items()}
        raise KitoError(
            f"model '{model.name}' fails on inputs of shapes {shapes}: {describe(error)}"
        ) from error


def run(model: Any, batch: Inputs) -> list[np.ndarray]:
    """The flat outputs of one call in inference.

    Raises:
        KitoError: the model cannot be run on this batch.
    """
    return [to_numpy(x) for x in tree.flatten(call_model(model, batch))]


def to_numpy(tensor: Any) -> np.ndarray:
    """A tensor of the backend as an array; bfloat16, which NumPy lacks, becomes float32."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = keras.ops.cast(tensor, "float32")
    if keras.backend.backend() == "torch":
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    return np.asarray(tensor)
