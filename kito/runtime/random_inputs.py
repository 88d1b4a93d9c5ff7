"""Seeded random samples that fit the inputs of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError, UnsupportedModelError, shown
from kito.graph.functional import as_functional
from kito.graph.read import read_graph
from kito.runtime.batch import Inputs, input_tensors

_MOST_NUMBERS = 2**30
"""The most numbers of one input; as float32 they take 4 GiB."""


def random_inputs(
    model: Any,
    *,
    samples: int = 32,
    seed: int = 0,
    shape: Mapping[str, Sequence[int]] | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> Inputs:
    """Random samples for each input of ``model``, the same for the same seed.

    Float inputs are uniform in [low, high). Integer inputs are uniform over the values that the
    Embedding or CategoryEncoding which takes them accepts; without one they are 0 or 1, or 0 to 255
    for uint8, the dtype of images. Boolean inputs are True or False with equal probability.
    Optional inputs are included.

    Args:
        model: a built model.
        samples: number of samples; a model of a fixed batch size gets a whole number of batches, at
            least this many samples.
        seed: seed of the random numbers; each input has a stream of its own.
        shape: by input name, the sizes without the batch, where the model leaves one open.
        low: least value of float inputs.
        high: upper bound of float inputs, which they stay below.

    Returns:
        Arrays of shape (samples, ...) by input name.

    Raises:
        KitoError: an open size is not given, a given one does not fit, an input holds strings or
            takes more numbers than memory holds, or an argument is out of its range.
    """
    if samples < 1 or seed < 0 or not -np.inf < low < high < np.inf:
        raise KitoError(
            f"random inputs take samples >= 1, seed >= 0 and low < high, both finite; got samples "
            f"{samples}, seed {seed}, low {low}, high {high}"
        )
    model = as_functional(model)
    shapes = dict(shape or {})
    tensors = input_tensors(model)
    unknown = [name for name in shapes if name not in tensors]
    if unknown:
        raise KitoError(f"inputs.shape names {unknown}; the model's inputs are {list(tensors)}")
    bounds = _integer_bounds(model)
    inputs: Inputs = {}
    for index, (name, tensor) in enumerate(tensors.items()):
        sizes = _sizes(name, tensor.shape[1:], shapes.get(name))
        count = _whole_batches(samples, tensor.shape[0])
        rng = np.random.default_rng([seed, index])
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        full = (count, *sizes)
        if math.prod(full) > _MOST_NUMBERS:
            raise KitoError(
                f"input '{shown(name)}' takes {math.prod(sizes)} numbers a sample, that is "
                f"{math.prod(full)} for {count} samples: give fewer samples, or smaller data"
            )
        if dtype == "string":
            raise KitoError(f"input '{name}' holds strings: give data for it (inputs.data)")
        if dtype == "bool":
            inputs[name] = rng.integers(0, 2, full).astype(bool)
        elif "int" in dtype:
            most = 256 if dtype == "uint8" else 2
            inputs[name] = rng.integers(0, bounds.get(name, most), full).astype(dtype)
        else:
            values = rng.uniform(low, high, full)
            inputs[name] = values.astype("float32" if dtype == "bfloat16" else dtype)
    return inputs


def _sizes(name: str, wanted: Sequence[int | None], given: Sequence[int] | None) -> tuple[int, ...]:
    if given is None:
        if None in wanted:
            raise KitoError(
                f"input '{name}' has open sizes, {tuple(wanted)} without the batch: write them as "
                f"inputs.shape: {{{name}: [...]}}"
            )
        return tuple(int(size) for size in wanted if size is not None)
    if len(given) != len(wanted) or any(
        w is not None and w != g for w, g in zip(wanted, given, strict=False)
    ):
        raise KitoError(
            f"inputs.shape for input '{name}' is {list(given)}, the model takes {list(wanted)} "
            "(without the batch, None for any size)"
        )
    if any(size < 1 for size in given):
        raise KitoError(f"inputs.shape for input '{name}' is {list(given)}: sizes are 1 or more")
    return tuple(given)


def _whole_batches(samples: int, batch: int | None) -> int:
    """``samples`` rounded up to whole batches; ``batch`` is None where any size is allowed."""
    return samples if batch is None else -(-samples // batch) * batch


def _integer_bounds(model: Any) -> dict[str, int]:
    """By input name, how many values the layer that takes the input accepts."""
    bounds: dict[str, int] = {}
    try:
        graph = read_graph(model)
    except UnsupportedModelError:
        return bounds
    for tensor in tree.flatten(graph.inputs):
        for user in tensor.users:
            layer = user.op.layer
            known = getattr(layer, "input_dim", None) or getattr(layer, "num_tokens", None)
            if isinstance(known, int):
                name = tensor.node.op.name
                bounds[name] = min(known, bounds.get(name, known))
    return bounds
