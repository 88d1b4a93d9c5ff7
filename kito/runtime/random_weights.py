"""Seeded random weights (``weights: random``) with which a comparison is meaningful.

A freshly initialised BatchNormalization folds to nothing, and with arbitrary statistics a deep
network forgets its input: its outputs hardly differ from sample to sample, so that every comparison
passes. So gamma and beta are drawn at random, and one forward pass sets the moving statistics to
those that training would have left: in this pass every BatchNormalization is in training mode with
momentum 0, and everything else is in inference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kito.graph.functional import as_functional
from kito.graph.inference import without_gradients
from kito.graph.keras_internals import all_layers
from kito.runtime.batch import Inputs, batch_limit, call_arguments, samples_at_once

BETA, BIAS = (0.25, 0.5), 0.05
"""(mean, standard deviation) of betas, and standard deviation of biases.

The betas are large enough to show in every output. Their positive mean keeps most ReLUs in their
linear part; otherwise a network of 150 layers amplifies rounding until it hides everything else.
"""
SAMPLES = 32
"""Most samples of the calibrating pass, which holds every activation of the model in memory."""


def randomize_weights(model: Any, inputs: Inputs, seed: int = 0) -> None:
    """Give ``model``, in place, seeded random weights, calibrated on ``inputs``.

    Kernels are drawn by He et al. 2015 (variance 2 / fan_in), gammas from [0.6, 1.4] with every
    eighth negative, betas around 0.25 and biases around 0. The same seed and inputs give the same
    weights.

    Args:
        model: a built model that the caller owns.
        inputs: samples by input name, shape (samples, ...); where they are large, only the first
            few are used.
        seed: seed of the random numbers.
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
        count = batch_limit(model, samples_at_once(inputs, SAMPLES))
        few = {name: values[:count] for name, values in inputs.items()}
        with _calibrating(norms), without_gradients():
            model(call_arguments(model, few), training=False)


def _own_variables(layer: Any) -> list[Any]:
    """The variables of a layer that belong to none of the layers inside it."""
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
        values = rng.normal(*BETA, shape)
    elif len(shape) < 2:
        values = rng.normal(0, BIAS, shape)
    elif "embedding" in name:
        values = rng.normal(0, 1, shape)
    else:
        values = rng.normal(0, np.sqrt(2 / _fan_in(name, shape)), shape)
    variable.assign(values)


def _fan_in(name: str, shape: tuple[int, ...]) -> int:
    """How many values each output of a kernel sums; a depthwise one does not sum over channels."""
    depthwise = "depthwise" in name or (len(shape) > 2 and shape[-1] == 1)
    return max(int(np.prod(shape[:-2] if depthwise else shape[:-1])), 1)


@contextlib.contextmanager
def _calibrating(norms: list[Any]) -> Iterator[None]:
    """Inside the ``with``, a pass in inference sets the moving statistics of ``norms``.

    A pass of the whole model in training mode would draw random numbers (dropout, noise,
    augmentation), and the same seed would not give the same weights.
    """
    before = [(x, x.momentum, x.trainable) for x in norms]
    for layer in norms:
        layer.momentum = 0.0
        layer.trainable = True  # a frozen layer would keep the statistics that it has
        layer.call = _in_training(layer.call)  # of this instance only, and deleted below
    try:
        yield
    finally:
        for layer, momentum, trainable in before:
            del layer.call
            layer.momentum = momentum
            layer.trainable = trainable


def _in_training(call: Callable[..., Any]) -> Callable[..., Any]:
    """``call`` with ``training=True``, whatever it is called with."""

    def call_in_training(*args: Any, **kwargs: Any) -> Any:
        return call(*args[:1], **{**kwargs, "training": True})

    return call_in_training
