"""Sums of equal terms, which are affines."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from affine_models import IMAGE, LINE, Rest, bn, build, positive, reduce, tanh
from kito_models import assert_same, randomize

L = keras.layers


def pool(**arguments: Any) -> Any:
    return L.AveragePooling2D(3, 1, **{"padding": "same", **arguments})


def twice(x: Any) -> Any:
    return L.Add()([x, x])


EQUAL: dict[str, Rest] = {
    "one tensor": lambda x: L.Add()([x, x, x]),
    "plus": lambda x: x + x,
    "poolings": lambda x: L.Add()([pool()(x), pool()(x)]),
    "maxima": lambda x: L.MaxPooling2D(2)(x) + L.MaxPooling2D(2)(x),
    "normalized": lambda x: twice(bn()(x)),
}
UNEQUAL: dict[str, Rest] = {
    "other settings": lambda x: L.Add()([pool()(x), L.AveragePooling2D(5, 1, padding="same")(x)]),
    "other layers": lambda x: L.Add()([pool()(x), L.MaxPooling2D(3, 1, padding="same")(x)]),
    "other inputs": lambda x: L.Add()([pool()(x), pool()(L.Softmax()(x))]),
    "weights": lambda x: L.Add()([L.PReLU()(x), L.PReLU()(x)]),
    "noise": lambda x: L.Add()(
        [L.Dropout(0.0)(x, training=True), L.Dropout(0.0)(x, training=True)]
    ),
    "one more": lambda x: L.Add()([pool()(x), pool()(x), x]),
    "half": lambda x: L.Add(dtype="float16")([x, x]),
}


@pytest.mark.parametrize("case", EQUAL)
def test_a_sum_of_equal_terms_is_an_affine(case: str) -> None:
    model = build(IMAGE, lambda x: L.Conv2D(6, 3, padding="same")(EQUAL[case](tanh(x))))
    if case == "normalized":
        positive(model)
    reduction = reduce(model)
    kinds = [type(x).__name__ for x in reduction.model.operations]
    assert "Add" not in kinds
    assert kinds.count("AveragePooling2D") + kinds.count("MaxPooling2D") <= 1
    assert (L.Rescaling in map(type, reduction.model.layers)) is (case == "normalized")
    assert_same(model, reduction.model)


@pytest.mark.parametrize("case", UNEQUAL)
def test_sums_of_other_terms_stay(case: str) -> None:
    model = build(IMAGE, lambda x: L.Conv2D(6, 3, padding="same")(UNEQUAL[case](tanh(x))))
    reduction = reduce(model)
    assert any(isinstance(x, L.Add) for x in reduction.model.layers)
    if case != "half":
        assert_same(model, reduction.model)


def test_a_masked_sum_keeps_its_mask() -> None:
    def rest(x: Any) -> Any:
        x = L.Masking()(x)
        return L.GRU(3)(L.Add()([x, x]))

    assert not reduce(build(LINE, rest)).rewrites


def test_a_sum_of_equal_terms_that_names_an_output() -> None:
    image = keras.Input(IMAGE)
    model = randomize(keras.Model(image, L.Add(name="sum")([image, image])))
    reduction = reduce(model)
    assert reduction.model.output_names == ["sum"]
    assert_same(model, reduction.model)
