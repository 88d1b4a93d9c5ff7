"""Two linear layers in a row become one, where that takes fewer multiplications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

import kito

L = keras.layers
Rest = Callable[[Any], Any]
IMAGE = (8, 9, 4)


def model_of(rest: Rest, shape: tuple[int, ...] = IMAGE) -> Any:
    image = keras.Input(shape)
    return randomize(keras.Model(image, L.Activation("tanh")(rest(image))))


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("collapse_linear",))


ONE: dict[str, tuple[tuple[int, ...], Rest]] = {
    "conv, 1 x 1": (IMAGE, lambda x: L.Conv2D(3, 1)(L.Conv2D(6, 3, 2, padding="same")(x))),
    "conv, 1 x 1, no bias": (
        IMAGE,
        lambda x: L.Conv2D(3, 1, use_bias=False)(L.Conv2D(6, 3, use_bias=False)(x)),
    ),
    "conv, 1 x 1, active": (IMAGE, lambda x: L.Conv2D(3, 1, activation="relu")(L.Conv2D(6, 3)(x))),
    "conv, dense": (IMAGE, lambda x: L.Dense(3, activation="relu")(L.Conv2D(6, 3)(x))),
    "conv 1d": ((9, 4), lambda x: L.Conv1D(3, 1)(L.Conv1D(6, 3, padding="causal")(x))),
    "1 x 1, conv": (IMAGE, lambda x: L.Conv2D(3, 3, 2)(L.Conv2D(8, 1)(x))),
    "1 x 1 without bias, conv that pads": (
        IMAGE,
        lambda x: L.Conv2D(3, 3, padding="same", activation="relu")(
            L.Conv2D(8, 1, use_bias=False)(x)
        ),
    ),
    "dense, conv": (IMAGE, lambda x: L.Conv2D(3, 3)(L.Dense(8)(x))),
    "dense, dense": ((9,), lambda x: L.Dense(3, activation="relu")(L.Dense(20)(x))),
    "dense, dense of rank 3": ((9, 4), lambda x: L.Dense(3)(L.Dense(20, use_bias=False)(x))),
    "depthwise 1 x 1, conv": (IMAGE, lambda x: L.Conv2D(3, 3)(L.DepthwiseConv2D(1)(x))),
    "depthwise 1 x 1, multiplied": (
        IMAGE,
        lambda x: L.Conv2D(3, 3)(L.DepthwiseConv2D(1, depth_multiplier=3)(x)),
    ),
    "three": ((9,), lambda x: L.Dense(3)(L.Dense(20)(L.Dense(20)(x)))),
}


@pytest.mark.parametrize("case", ONE)
def test_one_is_left(case: str) -> None:
    shape, rest = ONE[case]
    model = model_of(rest, shape)
    reduction = reduce(model)
    assert len([x for x in reduction.model.layers if x.weights]) == 1
    assert reduction.parameters[1] < reduction.parameters[0]
    assert_same(model, reduction.model)


TWO: dict[str, tuple[tuple[int, ...], Rest]] = {
    "more work": (IMAGE, lambda x: L.Conv2D(16, 1)(L.Conv2D(2, 3)(x))),
    "more work before": (IMAGE, lambda x: L.Conv2D(16, 3)(L.Conv2D(2, 1)(x))),
    "a bottleneck": ((64,), lambda x: L.Dense(64)(L.Dense(4)(x))),
    "an activation between": ((9,), lambda x: L.Dense(3)(L.Dense(20, activation="relu")(x))),
    "a bias that padding must not meet": (
        IMAGE,
        lambda x: L.Conv2D(3, 3, padding="same")(L.Conv2D(8, 1)(x)),
    ),
    "a stride in the second": (IMAGE, lambda x: L.Conv2D(3, 1, 2)(L.Conv2D(6, 3)(x))),
    "a stride in the first": (IMAGE, lambda x: L.Conv2D(3, 3)(L.Conv2D(8, 1, 2)(x))),
    "groups in the first": (IMAGE, lambda x: L.Conv2D(3, 1)(L.Conv2D(8, 3, groups=2)(x))),
    "groups in the second": (IMAGE, lambda x: L.Conv2D(4, 3, groups=2)(L.Conv2D(8, 1)(x))),
    "two windows": (IMAGE, lambda x: L.Conv2D(3, 3)(L.Conv2D(8, 3)(x))),
    "depthwise, window": (IMAGE, lambda x: L.Conv2D(3, 1)(L.DepthwiseConv2D(3)(x))),
    "between": ((9,), lambda x: L.Dense(3)(L.Softmax()(L.Dense(20)(x)))),
    "called twice": ((9,), lambda x: twice(L.Dense(9), x)),
    "a layer for an activation": (
        (9,),
        lambda x: L.Dense(3, activation=L.LeakyReLU())(L.Dense(20)(x)),
    ),
    "a cast": ((9,), lambda x: L.Dense(3, dtype="float64")(L.Dense(20)(x))),
}


def twice(layer: Any, x: Any) -> Any:
    return layer(layer(x))


@pytest.mark.parametrize(
    "case",
    [  # JAX has float64 in a scope only
        pytest.param(x, marks=pytest.mark.backends("tensorflow", "torch") if x == "a cast" else ())
        for x in TWO
    ],
)
def test_two_are_left(case: str) -> None:
    shape, rest = TWO[case]
    model = model_of(rest, shape)
    reduction = reduce(model)
    assert not reduction.rewrites
    assert_same(model, reduction.model)


def test_what_others_see_stays() -> None:
    image = keras.Input((9,))
    between = L.Dense(20)(image)
    for ends in ([L.Dense(3)(between), between], [L.Dense(3)(between), L.Softmax()(between)]):
        model = randomize(keras.Model(image, ends))
        reduction = reduce(model)
        assert not reduction.rewrites
        assert_same(model, reduction.model)


def test_channels_on_different_axes() -> None:
    image = keras.Input((6, 8, 8))
    conv = L.Conv2D(8, 1, data_format="channels_first")
    model = randomize(keras.Model(image, L.Dense(2)(conv(image))))
    assert not reduce(model).rewrites


def test_names() -> None:
    model = model_of(lambda x: L.Dense(3, name="second")(L.Dense(20, name="first")(x)), (9,))
    [rewrite] = reduce(model).rewrites
    assert rewrite == kito.Rewrite("collapse_linear", ("second",), "first")


def test_overflow_is_refused() -> None:
    model = model_of(lambda x: L.Dense(3)(L.Dense(20)(x)), (9,))
    for layer in model.layers[1:3]:
        layer.set_weights([np.full(w.shape, 1e25, "float32") for w in layer.get_weights()])
    assert not reduce(model).rewrites


def test_after_a_collapse_other_passes_see_the_new_layer() -> None:
    """The activation and the number of filters are no longer those of the original layer."""

    def rest(x: Any) -> Any:
        x = L.Conv2D(3, 1, activation="sigmoid")(L.Conv2D(6, 3)(x))
        return L.BatchNormalization()(x)

    model = model_of(rest)
    passes = ("collapse_linear", "fold_affine", "merge_branches", "collapse_linear")
    reduction = kito.reduce(model, passes=passes)
    assert "applies its activation 'sigmoid'" in reduction.kept[0].reason
    assert_same(model, reduction.model)
