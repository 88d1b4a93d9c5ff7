"""Residual streams: the stream carries a shift, and its other users subtract it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, exact_outputs, feed, outputs, randomize

import kito

L = keras.layers


def bn(name: str) -> Any:
    return L.BatchNormalization(name=name)


def branch(x: Any, i: int, strides: int = 1) -> Any:
    """The residual branch of a pre-activation block (He et al. 2016), from its ReLU on."""
    x = L.Conv2D(6, 1, use_bias=False, name=f"reduce_{i}")(x)
    x = L.ReLU()(bn(f"inner_{i}")(x))
    x = L.Conv2D(8, 3, strides=strides, padding="same", use_bias=False, name=f"middle_{i}")(x)
    return L.Conv2D(8, 1, name=f"expand_{i}")(x)


def network(gammas: Callable[[np.ndarray], np.ndarray] = np.abs, end: Any = None) -> Any:
    """Blocks whose shortcut is a convolution, the stream itself, and a pooling of it."""
    image = keras.Input((13, 13, 3))
    x = L.Conv2D(8, 3, name="stem")(image)
    x = L.MaxPooling2D(3, strides=2)(L.ZeroPadding2D(1)(x))
    y = L.ReLU()(bn("bn_0")(x))
    x = L.Add()([L.Conv2D(8, 1, name="shortcut")(y), branch(y, 0)])
    y = L.ReLU()(bn("bn_1")(x))
    x = second = L.Add()([x, branch(y, 1)])
    y = L.ReLU()(bn("bn_2")(x))
    x = L.Add()([L.MaxPooling2D(1, strides=2)(x), branch(y, 2, strides=2)])
    y = L.ReLU(name="last")(bn("bn_3")(x))
    y = L.Dense(4)(L.GlobalAveragePooling2D()(y))
    model = randomize(keras.Model(image, y if end is None else [y, end(second)]))
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.gamma.assign(gammas(np.asarray(layer.gamma) + 0.1))
    return model


def rms(values: list[np.ndarray], truth: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean((values[0] - truth[0]) ** 2)))


def test_a_stream_carries_the_shifts() -> None:
    model = network()
    reduction = kito.reduce(model)

    assert [kept.layer for kept in reduction.kept] == ["bn_0"]
    assert "pads with zeros" in reduction.kept[0].reason
    assert reduction.batchnorms == (7, 0)
    assert reduction.precomputed == 1
    assert_same(model, reduction.model)


def test_is_no_less_accurate() -> None:
    model = network()
    arrays = feed(model, batch=64)
    truth = exact_outputs(model, arrays)
    ours = rms(outputs(kito.reduce(model).model, arrays), truth)
    assert ours <= 1.5 * rms(outputs(model, arrays), truth)


def test_gammas_that_are_not_positive_are_counted() -> None:
    def two_wrong(gamma: np.ndarray) -> np.ndarray:
        return np.abs(gamma) * [1, -1, 1, 1, 0, 1, 1, 1][: len(gamma)]

    model = network(two_wrong)
    reduction = kito.reduce(model)

    reasons = {kept.layer: kept.reason for kept in reduction.kept}
    assert set(reasons) == {"bn_0", "bn_1", "bn_2", "bn_3"}
    for name in ("bn_1", "bn_2", "bn_3"):
        assert "2 of 8 channels are not" in reasons[name]
    assert_same(model, reduction.model)


def test_a_shift_far_beyond_the_values_stays() -> None:
    model = network()
    model.get_layer("bn_2").gamma.assign([1e-2, *[1.0] * 7])
    model.get_layer("bn_2").beta.assign([1.0] * 8)
    reduction = kito.reduce(model)

    assert [kept.layer for kept in reduction.kept] == ["bn_0", "bn_2"]
    assert_same(model, reduction.model)


@pytest.mark.parametrize(
    "end, carried",
    [
        pytest.param(lambda x: x, False, id="output of the model"),
        pytest.param(L.Activation("tanh"), False, id="not linear"),
        pytest.param(L.Conv2D(3, 3, padding="same"), False, id="pads with zeros"),
        pytest.param(L.Conv2D(3, 3), True, id="valid convolution"),
        pytest.param(lambda x: L.Conv2D(3, 1)(L.AveragePooling2D(2)(x)), True, id="pooled"),
        pytest.param(lambda x: L.Add()([x, x]), False, id="taken twice"),
    ],
)
def test_who_else_reads_the_stream(end: Any, carried: bool) -> None:
    model = network(end=end)
    reduction = kito.reduce(model)

    kept = {kept.layer for kept in reduction.kept}
    assert ("bn_2" not in kept) is carried
    assert_same(model, reduction.model)
