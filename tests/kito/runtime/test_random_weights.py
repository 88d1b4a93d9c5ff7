"""``weights: random`` must make a comparison mean something."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kito.runtime.batch import call_arguments
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights
from kito.runtime.run import to_numpy

L = keras.layers


def deep(frozen: bool = False) -> Any:
    """A network deep enough to forget its input when its statistics are made up."""
    x = image = keras.Input((16, 16, 3), name="image")
    for _ in range(12):
        x = L.Conv2D(8, 3, padding="same", use_bias=False)(x)
        x = L.BatchNormalization(momentum=0.9, trainable=not frozen)(x)
        x = L.ReLU()(x)
        x = L.Dropout(0.5)(x)
    inner = keras.Sequential([keras.Input((16, 8)), L.Dense(4), L.BatchNormalization()])
    x = L.TimeDistributed(inner)(x)
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, L.Dense(10, activation="softmax")(x))


def outputs(model: Any, seed: int = 0) -> Any:
    inputs = random_inputs(model, samples=8, seed=seed)
    return to_numpy(model(call_arguments(model, inputs), training=False))


@pytest.mark.parametrize("frozen", [False, True])
def test_outputs_depend_on_the_input(frozen: bool) -> None:
    model = deep(frozen)
    randomize_weights(model, random_inputs(model, samples=8), seed=3)
    result = outputs(model)
    assert np.ptp(result, axis=0).max() > 0.05 * np.abs(result).max()
    assert result.max() < 0.999  # a saturated softmax would hide errors
    norms = [x for x in model.layers if isinstance(x, L.BatchNormalization)]
    for norm in norms:
        gamma, beta, mean, variance = (np.asarray(w) for w in norm.get_weights())
        assert np.ptp(gamma) > 0.1
        assert np.any(gamma < 0)
        assert np.ptp(beta) > 0.05
        assert np.any(mean != 0)
        assert np.all(variance != 1)
        assert norm.momentum == 0.9
        assert norm.trainable is not frozen
    assert all(x.rate == 0.5 for x in model.layers if isinstance(x, L.Dropout))


def test_the_seed_decides_and_nothing_else() -> None:
    results = []
    for seed in (5, 5, 6):
        model = deep()
        randomize_weights(model, random_inputs(model, samples=8), seed=seed)
        results.append(outputs(model))
    assert np.allclose(results[0], results[1], rtol=1e-5)
    assert not np.allclose(results[0], results[2], rtol=1e-2)


def test_integer_weights_stay() -> None:
    text = keras.Input((4,), dtype="int32", name="ids")
    model = keras.Model(text, L.Dense(2)(L.Flatten()(L.Embedding(9, 3)(text))))
    randomize_weights(model, random_inputs(model, samples=4))
    assert np.isfinite(outputs(model)).all()


@pytest.mark.parametrize(
    "layer", [L.GaussianNoise(0.9), L.RandomTranslation(0.4, 0.4), L.Dropout(0.5)]
)
def test_nothing_random_of_training_takes_part(layer: Any) -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = L.BatchNormalization(name="norm")(layer(L.Conv2D(4, 3)(image)))
    model = keras.Model(image, L.GlobalAveragePooling2D()(x))
    statistics = []
    for _ in range(2):
        randomize_weights(model, random_inputs(model, samples=8), seed=1)
        statistics.append(model.get_layer("norm").get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*statistics, strict=True))


def test_a_frozen_backbone_called_in_inference_is_calibrated() -> None:
    image = keras.Input((8, 8, 3), name="image")
    inner = keras.Input((8, 8, 3))
    base = keras.Model(inner, L.BatchNormalization(name="norm")(L.Conv2D(4, 3)(inner)))
    base.trainable = False
    model = keras.Model(image, L.GlobalAveragePooling2D()(base(image, training=False)))
    randomize_weights(model, random_inputs(model, samples=8))
    norm = base.get_layer("norm")
    assert np.all(norm.get_weights()[3] != 1)
    assert not norm.trainable
    assert "call" not in vars(norm)
