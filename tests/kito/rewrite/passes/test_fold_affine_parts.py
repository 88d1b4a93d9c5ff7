"""Affines that are split, composed with others, or become a Rescaling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from affine_models import (
    IMAGE,
    LINE,
    MIXED,
    SHIFT,
    Rest,
    assert_gone,
    bn,
    build,
    operations,
    positive,
    reduce,
    tanh,
    tanh_end,
)
from kito_models import assert_same

from kito.runtime.run import to_numpy

L = keras.layers


def test_the_scale_is_hoisted_and_the_shift_sunk() -> None:
    def rest(x: Any) -> Any:
        y = bn()(L.Conv2D(4, 3, activation="relu")(x))
        return L.Conv2D(6, 3)(L.Add()([y, tanh(L.Conv2D(4, 3)(x))]))

    model = positive(build(IMAGE, rest))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


def test_the_shift_is_hoisted_and_the_scale_sunk() -> None:
    def rest(x: Any) -> Any:
        y = bn()(L.Add()([L.Softmax()(x), L.Conv2D(4, 1)(x)]))
        return L.Conv2D(6, 3, padding="same")(y)

    model = positive(build(IMAGE, rest))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("part, rest", [
    ("scale", lambda x: L.Softmax()(bn()(L.Conv2D(4, 3, activation="relu", name="conv")(x)))),
    ("scale", lambda x: L.Conv2D(4, 3, padding="same", name="conv")(bn()(tanh(x)))),
    ("shift", lambda x: L.Softmax()(bn()(L.Add()([tanh(x), L.Conv2D(4, 1, name="conv")(x)])))),
    ("shift", lambda x: L.Softmax()(L.Add()([bn()(tanh(x)), L.Conv2D(4, 1, name="conv")(x)]))),
])  # fmt: skip
def test_one_part_goes_and_the_other_is_precomputed(part: str, rest: Rest) -> None:
    model = positive(build(IMAGE, rest))
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert reduction.precomputed == 1
    [kept] = reduction.kept
    assert kept.layer == "bn"
    assert kept.reason.startswith(f"its {part} went into conv; ")
    left = reduction.model.get_layer("bn")
    assert isinstance(left, L.Rescaling)
    one = left.scale if part == "scale" else left.offset
    assert np.all(np.asarray(one) == (1 if part == "scale" else 0))
    assert_same(model, reduction.model)


def test_a_zero_scale_keeps_the_shift_where_it_is() -> None:
    model = build(IMAGE, lambda x: L.Conv2D(4, 3, padding="same")(bn()(tanh(x))))
    reduction = reduce(model)  # some gammas are zero: shift / scale is not finite
    assert reduction.precomputed == 1
    assert "went into" not in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_neighbours_become_one() -> None:
    def rest(x: Any) -> Any:
        y = L.Rescaling(2.0, -1.0, name="first")(tanh(x))
        y = L.Dropout(0.3)(y) * MIXED + SHIFT
        return L.Softmax()(bn()(y))

    model = build(IMAGE, rest)
    reduction = reduce(model)
    assert [type(x) for x in reduction.model.operations].count(L.Rescaling) == 1
    assert operations(reduction.model) == []
    assert [kept.layer for kept in reduction.kept] == ["bn"]
    assert_same(model, reduction.model)


def test_neighbours_become_one_that_can_go() -> None:
    model = build(IMAGE, lambda x: L.Conv2D(6, 3)(bn()(L.Rescaling(2.0, -1.0)(x) * MIXED + SHIFT)))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


def test_on_different_axes_they_stay_apart() -> None:
    model = build(IMAGE, lambda x: L.Softmax()(bn()(L.BatchNormalization(axis=1)(tanh(x)))))
    reduction = reduce(model)
    assert reduction.precomputed == 2
    assert_same(model, reduction.model)


def test_what_is_left_can_be_saved(tmp_path: Any) -> None:
    model = build(IMAGE, lambda x: L.Softmax()(bn(axis=2)(tanh(x))))
    reduction = reduce(model)
    assert isinstance(reduction.model.get_layer("bn"), L.Rescaling)
    assert reduction.parameters[1] == 0
    reduction.model.save(tmp_path / "model.keras")
    assert_same(model, keras.models.load_model(tmp_path / "model.keras"))


@pytest.mark.parametrize(
    "dtype",
    [
        "mixed_float16",  # JAX has float64 in a scope only
        pytest.param("float64", marks=pytest.mark.backends("tensorflow", "torch")),
    ],
)
def test_other_dtypes_are_not_precomputed(dtype: str) -> None:
    model = build(
        IMAGE, lambda x: L.Softmax()(bn(dtype=dtype)(L.Activation("tanh", dtype=dtype)(x)))
    )
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 1)
    assert_same(model, reduction.model, rtol=1e-3)


def test_a_normalization_at_several_places_is_not_precomputed() -> None:
    shared = bn()
    model = build(IMAGE, lambda x: L.Softmax()(shared(tanh_end(shared(tanh(x))))))
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 1)
    assert_same(model, reduction.model)


def test_a_masked_normalization_hands_its_mask_on() -> None:
    def rest(x: Any) -> Any:
        return L.GRU(3)(bn()(L.Activation("tanh")(L.Masking()(x))))

    model = build(LINE, rest)
    reduction = reduce(model)
    assert isinstance(reduction.model.get_layer("bn"), L.Rescaling)
    values = np.random.default_rng(0).normal(size=(3, 9, 4)).astype("float32")
    values[1, 4:] = 0.0
    expected, actual = to_numpy(model(values)), to_numpy(reduction.model(values))
    assert np.abs(expected - actual).max() <= 2e-5


def test_an_identity_in_disguise_goes() -> None:
    model = build(IMAGE, lambda x: L.Softmax()(L.Rescaling(1.0)(tanh(x)) * 1.0))
    reduction = reduce(model)
    assert len(reduction.model.operations) == len(model.operations) - 2
    assert_same(model, reduction.model)
