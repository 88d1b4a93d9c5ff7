"""Biases that are sunk into other biases."""

from __future__ import annotations

import keras
import pytest
from affine_models import IMAGE, LINE, Rest, build, reduce, tanh, tanh_end
from kito_models import assert_same, randomize

L = keras.layers


FEWER: dict[str, tuple[tuple[int, ...], int, Rest]] = {
    "a sum": (IMAGE, 1, lambda x: L.Add()([L.Conv2D(4, 3)(x), L.Conv2D(4, 3)(tanh(x))])),
    "a sum of four": (
        IMAGE,
        1,
        lambda x: L.Add()([L.Conv2D(4, 3)(f(x)) for f in (tanh, tanh_end, L.ReLU(), L.Softmax())]),
    ),
    "through a pooling": (
        IMAGE,
        1,
        lambda x: L.Add()([L.AveragePooling2D(3, 1)(L.Conv2D(4, 1)(x)), L.Conv2D(4, 3)(x)]),
    ),
    "into the next kernel": (
        IMAGE,
        1,
        lambda x: L.Conv2D(4, 3)(L.AveragePooling2D(2)(L.Dense(4)(x))),
    ),
    "distributed": (
        (3, *IMAGE),
        1,
        lambda x: L.Add()([L.TimeDistributed(L.Conv2D(4, 3))(y) for y in (x, tanh(x))]),
    ),
    "none to take it": (IMAGE, 1, lambda x: L.Add()([L.Conv2D(4, 1)(x), tanh(x)])),
    "one without": (
        IMAGE,
        1,
        lambda x: L.Add()([L.Conv2D(4, 1)(x), L.Conv2D(4, 1, use_bias=False)(tanh(x))]),
    ),
    "active": (
        IMAGE,
        2,
        lambda x: L.Add()([L.Conv2D(4, 1, activation="relu")(x), L.Conv2D(4, 1)(x)]),
    ),
    "padding": (IMAGE, 2, lambda x: L.Conv2D(4, 3, padding="same")(L.Dense(4)(x))),
    "shared": (IMAGE, 1, lambda x: [L.Add()([c(x), c(tanh(x))]) for c in [L.Conv2D(4, 1)]]),
    "einsum": (
        LINE,
        1,
        lambda x: L.Dense(4)(x) + L.EinsumDense("abc,cd->abd", (9, 4), bias_axes="d")(x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FEWER)
def test_of_several_biases_one_is_left(case: str) -> None:
    shape, left, rest = FEWER[case]
    model = build(shape, rest)
    reduction = reduce(model)
    biases = [w for x in reduction.model.layers for w in x.weights if w.name == "bias"]
    assert len(biases) == left
    gone = sum(w.name == "bias" for x in model.layers for w in x.weights) - left
    assert [x.layers for x in reduction.rewrites] == [()] * gone
    assert ("a bias -> " in reduction.summary()) is bool(gone)
    assert_same(model, reduction.model)


def test_a_bias_that_is_seen_elsewhere_stays() -> None:
    image = keras.Input(IMAGE)
    first, second = L.Conv2D(4, 1)(image), L.Conv2D(4, 1)(tanh(image))
    total = L.Add()([first, second])
    for ends in ([total, first, second], [total, L.Softmax()(first), L.Softmax()(second)]):
        model = randomize(keras.Model(image, ends))
        reduction = reduce(model)
        assert not reduction.rewrites
        assert_same(model, reduction.model)
