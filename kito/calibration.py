"""``weights: random``: seeded weights with which a comparison means something.

A freshly initialised BatchNormalization folds to nothing, and with arbitrary statistics a deep
network forgets its input: its outputs hardly differ from sample to sample, so that every comparison
passes. Here gamma and beta are random, and one forward pass in training mode with momentum 0 leaves
in each BatchNormalization the statistics that training would have left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kito.graph import all_layers
from kito.inputs import Inputs, call_arguments

# Betas that are seen in every output; their positive mean keeps most ReLUs in their linear part,
# without which a network of 150 layers amplifies rounding until nothing else is seen.
_BETA, _BIAS = (0.25, 0.5), 0.05


def randomize_weights(model: Any, inputs: Inputs, seed: int = 0) -> None:
    """Give ``model``, in place, seeded random weights, calibrated on ``inputs``.

    Kernels are drawn by He et al. 2015 (variance 2 / fan_in), gammas from [0.6, 1.4] with every
    eighth negative, betas around 0.25 and biases around 0. The same seed and inputs
    give the same weights.

    Args:
        model: a built model that the caller owns.
        inputs: some samples, by input name.
        seed: of the random numbers.
    """
    layers = all_layers(model)
    rng = np.random.default_rng(seed)
    for layer in layers:
        if not getattr(layer, "layers", None):
            for variable in _own_variables(layer):
                _draw(variable, rng)
    norms = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
    if norms:
        with _calibrating(layers, norms):
            model(call_arguments(model, inputs), training=True)


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
def _calibrating(layers: list[Any], norms: list[Any]) -> Iterator[None]:
    """Inside, a pass in training mode leaves its statistics; nothing else of training happens."""
    rates = [x for x in layers if isinstance(getattr(x, "rate", None), float)]
    before = [(x, "rate", x.rate) for x in rates]
    before += [(x, "momentum", x.momentum) for x in norms]
    frozen = [x for x in norms if not x.trainable]
    for layer in rates:
        layer.rate = 0.0
    for layer in norms:
        layer.momentum = 0.0
        layer.trainable = True  # a frozen one would go on with the statistics that it has
    try:
        yield
    finally:
        for layer, key, value in before:
            setattr(layer, key, value)
        for layer in frozen:
            layer.trainable = False
