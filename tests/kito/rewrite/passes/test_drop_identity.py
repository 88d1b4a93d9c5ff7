"""Layers that do nothing in inference are dropped; those that name an output stay."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, feed, outputs, randomize

import kito

L = keras.layers


def names(model: Any) -> set[str]:
    return {type(x).__name__ for x in model.layers}


@pytest.mark.parametrize(
    "layer",
    [
        L.Dropout(0.5),
        L.SpatialDropout2D(0.5),
        L.AlphaDropout(0.5),
        L.GaussianDropout(0.5),
        L.GaussianNoise(0.5),
        L.ActivityRegularization(l1=0.1),
        L.Activation("linear"),
        L.Identity(),
        L.RandomFlip(),
        L.RandomRotation(0.1),
        L.RandomZoom(0.1),
        L.TimeDistributed(L.Dropout(0.5)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_does_nothing_goes(layer: Any) -> None:
    image = keras.Input((8, 8, 3))
    model = randomize(keras.Model(image, L.Dense(2, name="last")(layer(L.Dense(3)(image)))))
    reduction = kito.reduce(model, passes=("drop_identity",))
    assert reduction.layers[1] < reduction.layers[0]
    assert reduction.rewrites == (kito.Rewrite("drop_identity", (layer.name,)),)
    assert_same(model, reduction.model)


@pytest.mark.parametrize(
    "layer",
    [
        L.RandomCrop(4, 4),
        L.Activation("relu"),
        L.Masking(),
        L.Activation("linear", dtype="float16"),  # it casts
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_does_something_stays(layer: Any) -> None:
    image = keras.Input((8, 8, 3))
    model = randomize(keras.Model(image, L.Dense(2, name="last")(layer(L.Dense(3)(image)))))
    reduction = kito.reduce(model, passes=("drop_identity",))
    assert not reduction.rewrites
    assert_same(model, reduction.model, rtol=1e-2)


def test_dropout_that_is_called_in_training_mode_stays() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(2)(L.Dropout(0.5)(x, training=True)))
    assert "Dropout" in names(kito.reduce(model).model)


def test_an_output_keeps_its_layer_and_name() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, L.Dropout(0.5, name="result")(L.Dense(2)(x)))
    reduced = kito.reduce(model).model
    assert reduced.output_names == ["result"]
    assert isinstance(reduced.get_layer("result"), L.Dropout)
    assert_same(model, reduced)


def test_a_sequential_never_becomes_empty() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dropout(0.5), L.Dropout(0.5)])
    reduced = kito.reduce(model).model
    assert len(reduced.layers) == 1
    assert_same(model, reduced)


def test_a_mask_is_passed_on_where_a_dropout_was() -> None:
    ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(5, 4, mask_zero=True)(ids)
    model = randomize(keras.Model(ids, L.LSTM(3)(L.Dropout(0.5)(x))))
    reduction = kito.reduce(model)
    assert reduction.rewrites
    assert_same(model, reduction.model)


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_what_takes_a_mask_away_stays() -> None:
    x = keras.Input((6, 3))
    model = randomize(keras.Model(x, L.GRU(3)(L.RandomBrightness(0.1)(L.Masking(0.0)(x)))))
    reduction = kito.reduce(model)
    assert not reduction.rewrites
    steps = feed(model)[0]
    steps[:, 3:] = 0
    assert np.array_equal(outputs(model, [steps])[0], outputs(reduction.model, [steps])[0])
