"""Pointwise convolutions move to where there are fewer positions; the function stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from kito_models import assert_same, randomize

import kito

L = keras.layers
Rest = Callable[[Any], Any]
IMAGE = (9, 8, 6)


def model_of(rest: Rest, shape: tuple[int | None, ...] = IMAGE) -> Any:
    image = keras.Input(shape)
    return randomize(keras.Model(image, L.Activation("tanh")(rest(image))))


def order(model: keras.Model) -> list[str]:
    """The types of its layers, without the input and the activation at the end."""
    return [type(x).__name__ for x in model.layers[1:-1]]


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("move_pointwise",))


MOVED: dict[str, tuple[tuple[int | None, ...], Rest]] = {
    "pooling": (IMAGE, lambda x: L.AveragePooling2D(2)(L.Conv2D(3, 1)(x))),
    "pooling that pads": (
        IMAGE,
        lambda x: L.AveragePooling2D(3, 2, padding="same")(L.Conv2D(3, 1)(x)),
    ),
    "pooling along one axis": (IMAGE, lambda x: L.AveragePooling2D((1, 2))(L.Conv2D(8, 1)(x))),
    "no bias, groups": (
        IMAGE,
        lambda x: L.AveragePooling2D(2)(L.Conv2D(8, 1, groups=2, use_bias=False)(x)),
    ),
    "dense": (IMAGE, lambda x: L.AveragePooling2D(2)(L.Dense(3)(x))),
    "sequence": ((9, 4), lambda x: L.AveragePooling1D(3)(L.Conv1D(5, 1)(x))),
    "volume": ((4, 4, 4, 3), lambda x: L.AveragePooling3D(2)(L.Conv3D(5, 1)(x))),
    "open sizes": ((None, None, 4), lambda x: L.AveragePooling2D(2)(L.Conv2D(5, 1)(x))),
    "before a pooling that keeps the size": (
        IMAGE,
        lambda x: L.Conv2D(3, 1)(L.AveragePooling2D(3, 1, padding="same")(x)),
    ),
    "after a pooling that keeps the size": (
        IMAGE,
        lambda x: L.AveragePooling2D(3, 1, padding="same")(L.Conv2D(9, 1)(x)),
    ),
    "up-sampling": (IMAGE, lambda x: L.Conv2D(8, 1, activation="relu")(L.UpSampling2D(2)(x))),
    "bilinear": (
        IMAGE,
        lambda x: L.Conv2D(8, 1)(L.UpSampling2D(2, interpolation="bilinear")(x)),
    ),
    "up-sampling of a sequence": ((9, 4), lambda x: L.Dense(3)(L.UpSampling1D(3)(x))),
}


@pytest.mark.parametrize("case", MOVED)
def test_moves(case: str) -> None:
    shape, rest = MOVED[case]
    model = model_of(rest, shape)
    names = [x.name for x in model.layers[1:-1]]
    reduction = reduce(model)

    assert order(reduction.model) == order(model)[::-1]
    first = type(model.layers[1]).__name__
    pointwise, other = names if first.startswith(("Conv", "Dense")) else names[::-1]
    assert reduction.rewrites == (kito.Rewrite("move_pointwise", (pointwise,), other),)
    assert_same(model, reduction.model)


def shared(x: Any) -> Any:
    conv = L.Conv2D(6, 1)
    return L.AveragePooling2D(2)(L.Add()([conv(x), conv(conv(x))]))


STAYED: dict[str, Rest] = {
    "no fewer positions": lambda x: L.AveragePooling2D(3, 1)(L.Conv2D(3, 1)(x)),
    "more positions": lambda x: L.Conv2D(3, 1)(L.AveragePooling2D(3, 1)(x)),
    "no fewer channels": lambda x: L.Conv2D(6, 1)(L.AveragePooling2D(3, 1, padding="same")(x)),
    "before a pooling, activation": lambda x: L.Conv2D(3, 1, activation="relu")(
        L.AveragePooling2D(3, 1, padding="same")(x)
    ),
    "more additions than it saves": lambda x: L.AveragePooling2D(4, (1, 2))(L.Conv2D(1, 1)(x)),
    "activation": lambda x: L.AveragePooling2D(2)(L.Conv2D(3, 1, activation="relu")(x)),
    "maximum": lambda x: L.MaxPooling2D(2)(L.Conv2D(3, 1)(x)),
    "larger window": lambda x: L.AveragePooling2D(2)(L.Conv2D(3, (1, 2))(x)),
    "strides": lambda x: L.AveragePooling2D(2)(L.Conv2D(3, 1, 2)(x)),
    "shared": lambda x: L.AveragePooling2D(2)(shared(x)),
    "bilinear, activation": lambda x: L.Conv2D(8, 1, activation="relu")(
        L.UpSampling2D(2, interpolation="bilinear")(x)
    ),
    "up-sampling by one": lambda x: L.Conv2D(8, 1)(L.UpSampling2D(1)(x)),
}


@pytest.mark.parametrize("case", STAYED)
def test_stays(case: str) -> None:
    assert reduce(model_of(STAYED[case])).rewrites == ()


def test_what_is_read_elsewhere_stays() -> None:
    image = keras.Input(IMAGE)
    x = L.Conv2D(3, 1)(image)
    model = randomize(keras.Model(image, [x, L.AveragePooling2D(2)(x)]))
    assert reduce(model).rewrites == ()


def test_a_layer_passes_several_poolings() -> None:
    model = model_of(
        lambda x: L.AveragePooling2D(2)(L.AveragePooling2D(2)(L.Conv2D(3, 1)(x))), (16, 16, 6)
    )
    reduction = reduce(model)
    assert order(reduction.model) == ["AveragePooling2D", "AveragePooling2D", "Conv2D"]
    assert_same(model, reduction.model)


def test_an_output_keeps_its_name_and_a_sequential_model_its_kind() -> None:
    model = keras.Sequential(
        [keras.Input(IMAGE), L.Conv2D(3, 1, name="mix"), L.AveragePooling2D(2, name="mean")]
    )
    reduction = reduce(randomize(model))
    assert isinstance(reduction.model, keras.Sequential)
    assert [x.name for x in reduction.model.layers] == ["mean", "mix"]
    assert_same(model, reduction.model)
    functional = keras.Model(model.inputs, {"mean": model.outputs[0]})
    again = reduce(functional)
    assert list(again.model.output) == ["mean"]
    assert_same(functional, again.model)


def test_a_convolution_that_has_moved_collapses_into_another() -> None:
    model = model_of(lambda x: L.Conv2D(3, 1)(L.UpSampling2D(2)(L.Conv2D(20, 3)(x))))
    reduction = kito.reduce(model, passes=("move_pointwise", "collapse_linear"))
    assert order(reduction.model) == ["Conv2D", "UpSampling2D"]
    assert_same(model, reduction.model)
