"""Inputs of a model by name, cut into batches, and packed as the model's call takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError, UnsupportedModelError
from kito.graph.keras_internals import input_names

Inputs = dict[str, np.ndarray]
"""Arrays of shape (samples, ...) by input name, in the model's order."""


def batches(inputs: Inputs, size: int) -> Iterator[Inputs]:
    """Consecutive parts of at most ``size`` samples."""
    for start in range(0, sample_count(inputs), size):
        yield {name: values[start : start + size] for name, values in inputs.items()}


def sample_count(inputs: Inputs) -> int:
    """The number of samples of the inputs."""
    return len(next(iter(inputs.values())))


def batch_limit(model: Any, size: int) -> int:
    """The batch size of ``model``: the one that it fixes itself, else ``size``."""
    fixed = [x.shape[0] for x in input_tensors(model).values() if x.shape[0] is not None]
    return int(fixed[0]) if fixed else size


def samples_at_once(inputs: Inputs, most: int) -> int:
    """How many samples, at most ``most``, to run at a time, so that memory suffices.

    The memory that a network takes grows with the size of its inputs. The result is at least 8:
    NASNetLarge, the largest common network, takes some 9 GB for eight images of 331 x 331.
    """
    each = sum(int(np.size(values[0])) for values in inputs.values())
    return min(most, max(8, 1_000_000 // max(each, 1)))


def call_arguments(model: Any, batch: Inputs) -> Any:
    """A batch in the structure that ``model(...)`` takes: one array, a list or a dict.

    An optional input that is missing from the batch is None.

    Raises:
        KitoError: an input is missing that is not optional.
    """
    names = input_names(model)
    missing = [name for name in names if name not in batch and name not in optional_inputs(model)]
    if missing:
        raise KitoError(f"'{model.name}' takes the inputs {names}, the batch has {list(batch)}")
    flat = [batch.get(name) for name in names]
    return (
        flat[0] if isinstance(model, keras.Sequential) else tree.pack_sequence_as(model.input, flat)
    )


def input_tensors(model: Any) -> dict[str, Any]:
    """The symbolic inputs of a model by name, in order.

    Raises:
        UnsupportedModelError: the model has none.
    """
    tensors = getattr(model, "inputs", None)
    if not tensors:
        raise UnsupportedModelError(
            f"model '{getattr(model, 'name', model)}' has no symbolic inputs: it is subclassed or "
            "not built. Build it with keras.Input and keras.Model(inputs, outputs)"
        )
    return dict(zip(input_names(model), tensors, strict=True))


def optional_inputs(model: Any) -> set[str]:
    """The names of the inputs that a call may leave out."""
    return {x.name for x in model.layers if getattr(x, "optional", False)}
