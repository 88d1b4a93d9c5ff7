"""Layers and operations that scale or shift by constants."""

from __future__ import annotations

import importlib
from typing import Any

import keras
import numpy as np
import pytest
from affine_models import IMAGE, build, operations, reduce, tanh
from kito_models import assert_same, randomize

from kito.runtime.run import to_numpy

L = keras.layers


# ---- layers of keras.applications ---------------------------------------------------------------


def layer_class(network: str, name: str) -> Any:
    """A class that keras.applications uses and does not export."""
    return getattr(importlib.import_module(f"keras.src.applications.{network}"), name)


def test_a_layer_scale_goes_into_the_dense_layer_before_it() -> None:
    kind = layer_class("convnext", "LayerScale")
    model = build(IMAGE, lambda x: L.Add()([x, kind(1e-6, 4)(L.Dense(4)(x))]))
    reduction = reduce(model)
    assert not any(isinstance(x, kind) for x in reduction.model.layers)
    assert not reduction.kept
    assert_same(model, reduction.model)


@pytest.mark.parametrize("free", [True, False])
def test_a_scaled_residual(free: bool) -> None:
    kind = layer_class("inception_resnet_v2", "CustomScaleLayer")
    inner: Any = (lambda x: L.Conv2D(4, 1)(x)) if free else tanh
    model = build(IMAGE, lambda x: kind(0.17, name="scaled")([x, inner(x)]))
    reduction = reduce(model)
    assert isinstance(reduction.model.get_layer("scaled"), L.Add if free else kind)
    assert [kept.layer for kept in reduction.kept] == ([] if free else ["scaled"])
    assert bool(reduction.rewrites) is free
    assert_same(model, reduction.model)


# ---- constants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [
    np.ones((1, 1, 1, 1, 4), "float32"),  # makes the result larger
    np.arange(32, dtype="float32").reshape(8, 1, 4),  # along two axes
    np.arange(10, dtype="float32").reshape(10, 1),  # a sum that Keras may take for another axis
])  # fmt: skip
def test_constants_that_are_no_affine_are_left_alone(constant: np.ndarray) -> None:
    model = build(IMAGE, lambda x: L.Dense(3)(tanh(x) + constant))
    reduction = reduce(model)
    assert operations(reduction.model) == ["Add"]
    assert_same(model, reduction.model)


def test_a_column_that_keras_adds_as_a_row() -> None:
    """On TensorFlow, where the last axis has as many elements. Hoisted, it would be a column."""
    column = np.arange(4, dtype="float32").reshape(4, 1)
    model = build((4, 6), lambda x: L.Permute((2, 1))(L.Dense(4)(x)) + column)
    reduction = reduce(model)
    assert operations(reduction.model) == ["Add"]
    assert_same(model, reduction.model)


def test_a_constant_along_another_axis() -> None:
    rows = np.arange(1, 9, dtype="float32").reshape(8, 1, 1)
    model = build(IMAGE, lambda x: L.Softmax()(tanh(x) * rows * rows))
    reduction = reduce(model)
    assert operations(reduction.model) == []
    assert_same(model, reduction.model)


def test_an_integer_input_is_not_rescaled_later() -> None:
    image = keras.Input(IMAGE, dtype="uint8")
    model = randomize(keras.Model(image, L.Conv2D(6, 3)(L.Rescaling(0.1, name="scale")(image))))
    reduction = reduce(model)
    assert "it returns float32 of shape" in reduction.kept[0].reason
    values = np.random.default_rng(0).integers(0, 255, (2, *IMAGE)).astype("uint8")
    assert np.array_equal(to_numpy(model(values)), to_numpy(reduction.model(values)))
