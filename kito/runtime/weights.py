"""``weights: random``: seeded weights with which a comparison means something.

A freshly initialised BatchNormalization folds to nothing, and with arbitrary statistics a deep
network forgets its input: its outputs hardly differ from sample to sample, so that every comparison
passes. Here gamma and beta are random, and one forward pass, in which each BatchNormalization is in
training mode with momentum 0 and everything else in inference, leaves in it the statistics that
training would have left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kito.errors import KitoError, describe
from kito.graph.functional import as_functional
from kito.graph.keras_internals import all_layers
from kito.runtime.batch import Inputs, batch_limit, call_arguments, samples_at_once
from kito.runtime.load import existing_file


def apply_weights(
    model: keras.Model, weights: str, *, base: Path, inputs: Inputs, seed: int
) -> None:
    """Give a model, in place, the weights that it is to be checked with.

    Args:
        model: a built model, as :func:`load_model` returned it.
        weights: ``as-built`` (nothing is done), ``random`` (seeded, and calibrated so that the
            outputs depend on the inputs), or a file for ``load_weights``.
        base: the directory that a file is relative to.
        inputs: what to calibrate random weights on, by input name; first axis = samples.
        seed: of random weights.

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
        model.load_weights(path)
    except Exception as error:
        raise KitoError(
            f"weights {weights!r} cannot be loaded into model {model.name!r}: {describe(error)}"
        ) from error


# Betas that are seen in every output; their positive mean keeps most ReLUs in their linear part,
# without which a network of 150 layers amplifies rounding until nothing else is seen.
_BETA, _BIAS = (0.25, 0.5), 0.05
_SAMPLES = 32
"""Most samples of the calibrating pass, which holds every activation of the model."""


def randomize_weights(model: Any, inputs: Inputs, seed: int = 0) -> None:
    """Give ``model``, in place, seeded random weights, calibrated on ``inputs``.

    Kernels are drawn by He et al. 2015 (variance 2 / fan_in), gammas from [0.6, 1.4] with every
    eighth negative, betas around 0.25 and biases around 0. The same seed and inputs
    give the same weights.

    Args:
        model: a built model that the caller owns.
        inputs: some samples, by input name; of large ones only the first are used.
        seed: of the random numbers.
    """
    model = as_functional(model)
    layers = all_layers(model)
    rng = np.random.default_rng(seed)
    for layer in layers:
        if not getattr(layer, "layers", None):
            for variable in _own_variables(layer):
                _draw(variable, rng)
    norms = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
    if norms:
        count = batch_limit(model, samples_at_once(inputs, _SAMPLES))
        few = {name: values[:count] for name, values in inputs.items()}
        with _calibrating(norms):
            model(call_arguments(model, few), training=False)


def is_fresh(model: Any) -> bool:
    """Whether a model seems untrained: its biases and statistics are as initializers leave them."""
    starts = {"bias": 0.0, "beta": 0.0, "moving_mean": 0.0, "gamma": 1.0, "moving_variance": 1.0}
    known = {id(x): x for layer in all_layers(model) for x in layer.weights if x.name in starts}
    fresh = (np.all(np.asarray(x.numpy()) == starts[x.name]) for x in known.values())
    return bool(known) and all(fresh)


def _own_variables(layer: Any) -> list[Any]:
    nested = {id(v) for x in all_layers(layer) for v in x.weights}
    return [v for v in layer.weights if id(v) not in nested]


def _draw(variable: Any, rng: np.random.Generator) -> None:
    shape, name = tuple(variable.shape), variable.name
    if not keras.backend.is_float_dtype(variable.dtype):
        return
    if "variance" in name:
        values = np.ones(shape)
    elif "mean" in name:
        values = np.zeros(shape)
    elif name == "gamma":
        values = rng.uniform(0.6, 1.4, shape)
        values[..., ::8] *= -1
    elif name == "beta":
        values = rng.normal(*_BETA, shape)
    elif len(shape) < 2:
        values = rng.normal(0, _BIAS, shape)
    elif "embedding" in name:
        values = rng.normal(0, 1, shape)
    else:
        values = rng.normal(0, np.sqrt(2 / _fan_in(name, shape)), shape)
    variable.assign(values)


def _fan_in(name: str, shape: tuple[int, ...]) -> int:
    """How many values one output of a kernel sums: a depthwise one has no input channels to sum."""
    depthwise = "depthwise" in name or (len(shape) > 2 and shape[-1] == 1)
    return max(int(np.prod(shape[:-2] if depthwise else shape[:-1])), 1)


@contextlib.contextmanager
def _calibrating(norms: list[Any]) -> Iterator[None]:
    """Inside, a pass in inference leaves its statistics in ``norms``.

    A pass of the whole model in training mode would draw random numbers (dropout, noise,
    augmentation), and the same seed would not give the same weights.
    """
    before = [(x, x.momentum, x.trainable) for x in norms]
    for layer in norms:
        layer.momentum = 0.0
        layer.trainable = True  # a frozen one would go on with the statistics that it has
        layer.call = _in_training(layer.call)  # of this one layer, until it is deleted below
    try:
        yield
    finally:
        for layer, momentum, trainable in before:
            del layer.call
            layer.momentum = momentum
            layer.trainable = trainable


def _in_training(call: Callable[..., Any]) -> Callable[..., Any]:
    def call_in_training(*args: Any, **kwargs: Any) -> Any:
        return call(*args[:1], **{**kwargs, "training": True})

    return call_in_training
