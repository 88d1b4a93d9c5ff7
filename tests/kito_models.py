"""Weights, inputs and comparisons that the tests of the core share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kito.equivalence.float64 import copy_model
from kito.graph.inference import without_gradients
from kito.graph.keras_internals import all_layers
from kito.graph.keras_patches import kept_float64
from kito.runtime import backends
from kito.runtime.run import to_numpy

RTOL = 2e-5
"""The tolerance for folds, relative to the output's largest absolute value."""


def randomize(model: Any, seed: int = 0) -> Any:
    """Random weights and statistics in place, with negative and zero gammas; returns the model."""
    rng = np.random.default_rng(seed)
    for layer in all_layers(model):
        if getattr(layer, "layers", None):
            continue
        for variable in layer.weights:
            shape, name = tuple(variable.shape), variable.name
            if not keras.backend.is_float_dtype(variable.dtype):
                continue
            if "variance" in name:
                values = rng.uniform(0.3, 2.0, shape)
            elif name == "gamma":
                values = rng.uniform(-1.5, 1.5, shape)
                values[..., ::4] = 0.0
            else:
                values = rng.normal(0, 0.5, shape)
            variable.assign(values)
    return model


def feed(model: Any, batch: int = 3, size: int = 8, seed: int = 1) -> list[np.ndarray]:
    """Random inputs in the model's order; unknown sizes become ``size``."""
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = (batch, *(size if n is None else n for n in tensor.shape[1:]))
        if "int" in keras.backend.standardize_dtype(tensor.dtype):
            arrays.append(rng.integers(0, 5, shape).astype("int32"))
        else:
            arrays.append(rng.normal(0, 1, shape).astype("float32"))
    return arrays


def outputs(model: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Flat outputs in inference."""
    packed: Any = arrays[0]
    if not isinstance(model, keras.Sequential):
        packed = keras.tree.pack_sequence_as(model.input, arrays)
    with without_gradients():
        flat = keras.tree.flatten(model(packed, training=False))
    return [to_numpy(x).astype("float64") for x in flat]


def exact_outputs(model: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Flat outputs in inference of a copy in float64."""
    with backends.current().float64("cpu"), kept_float64():
        return outputs(copy_model(model, "float64"), arrays)


def assert_same(original: Any, reduced: Any, rtol: float = RTOL, **feeding: Any) -> None:
    """Both models give the same outputs, to ``rtol`` of each output's scale."""
    arrays = feed(original, **feeding)
    for a, b in zip(outputs(original, arrays), outputs(reduced, arrays), strict=True):
        assert a.shape == b.shape
        scale = np.abs(a).max(initial=0.0)
        assert np.abs(a - b).max(initial=0.0) <= rtol * scale + 1e-30


def backend_relu(x: Any) -> Any:
    """The ReLU of the backend itself, which a call of symbolic tensors cannot follow."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.nn.relu(x)
        case "jax":
            import jax

            return jax.nn.relu(x)
        case _:
            import torch

            return torch.relu(x)
