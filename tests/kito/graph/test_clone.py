"""Layers and metrics that are hard to clone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from kito_models import assert_same, feed, randomize

import kito

L = keras.layers

CLOSED = ("fold_batchnorm",)
"""A pass that inlines no layer, so that layers that contain layers are cloned."""


def around(layer: Any, shape: tuple[int, ...] = (6, 4), **kwargs: Any) -> Any:
    x = keras.Input(shape, **kwargs)
    return randomize(keras.Model(x, layer(x), name="around"))


def check(model: Any) -> Any:
    reduced = kito.reduce(model).model
    assert_same(model, reduced)
    return reduced


def test_a_sequential_whose_layers_hand_on_masks() -> None:
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            L.Embedding(5, 4, mask_zero=True),
            L.Dense(4),
            L.BatchNormalization(),
            L.LSTM(3),
        ]
    )
    reduced = check(randomize(model))
    assert [type(x) for x in reduced.layers] == [L.Embedding, L.Dense, L.LSTM]


class Wrapper(keras.layers.Layer):
    """Its configuration contains a live layer, which Keras allows."""

    def __init__(self, inner: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "inner": self.inner}


def test_a_live_layer_in_a_configuration_is_not_shared() -> None:
    dense = L.Dense(3)
    reduced = kito.reduce(around(Wrapper(dense)), passes=CLOSED).model
    assert reduced.layers[1].inner is not dense
    assert reduced.layers[1].inner.kernel is not dense.kernel


class Cell(keras.layers.Layer):
    """A cell that is not registered with Keras."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

    def call(self, x: Any, states: Any) -> Any:
        state = ops.tanh(ops.matmul(x, self.kernel) + 0.5 * states[0])
        return state, [state]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def test_custom_classes_deep_inside_stock_layers() -> None:
    check(around(L.RNN([Cell(3), Cell(2)])))


def test_an_operation_that_is_not_registered() -> None:
    class Times(keras.Operation):
        def __init__(self, factor: float, name: str | None = None) -> None:
            super().__init__(name=name)
            self.factor = factor

        def call(self, x: Any) -> Any:
            return x * self.factor

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    operation = Times(3.0)
    check(around(lambda x: operation(operation(x))))
    assert len(operation._inbound_nodes) == 2


def test_a_lambda_with_functions_for_everything() -> None:
    check(around(L.Lambda(lambda x, k: x * k, output_shape=lambda s: s, arguments={"k": 2.0})))


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantized_layers(mode: str) -> None:
    dense = L.Dense(8)
    model = around(dense, (16,))
    dense.quantize(mode)
    check(model)


@pytest.mark.backends("tensorflow")
def test_state_that_is_neither_weight_nor_argument() -> None:
    number, text = keras.Input((3,)), keras.Input((1,), dtype="string")
    bins = L.Discretization(num_bins=4)
    bins.adapt(np.random.default_rng(0).normal(size=(100, 3)))
    words = L.TextVectorization(output_mode="tf_idf")
    words.adapt(["a b c", "b c d", "c c"])
    model = keras.Model([number, text], [bins(number), words(text)])
    inputs = [ops.convert_to_tensor(x) for x in ([[-1.0, 0.0, 1.0]], [["c a d c"]])]
    for a, b in zip(model(inputs), kito.reduce(model).model(inputs), strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


class Counting(keras.metrics.Metric):
    """Has no get_config() of its own."""

    def __init__(self, step: float, name: str = "counting") -> None:
        super().__init__(name=name)
        self.step = step
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, a: Any, b: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(self.step)

    def result(self) -> Any:
        return self.total


@pytest.mark.backends("tensorflow", "torch")  # its result() is a variable, which JAX refuses
def test_metrics_of_every_kind() -> None:
    def bias(a: Any, b: Any) -> Any:
        return ops.mean(a - b)

    model = around(L.Dense(3), (4,))
    metrics = [Counting(2.0), keras.metrics.MeanMetricWrapper(bias, name="bias"), bias, "mae"]
    model.compile(loss="mse", metrics=metrics, weighted_metrics=["mse"])
    data = feed(model, batch=4)[0], np.ones((4, 3), "float32")
    reduced = kito.reduce(model).model
    results = [m.evaluate(*data, verbose=0, return_dict=True) for m in (reduced, model)]
    assert results[0] == pytest.approx(results[1], rel=1e-5)
    assert results[0]["counting"] == 2.0


def test_a_metric_that_cannot_be_cloned_is_an_error() -> None:
    class Lost(Counting):
        def __init__(self, by: float) -> None:
            super().__init__(by)

    model = around(L.Dense(3), (4,))
    model.compile(loss="mse", metrics=[Lost(1.0)])
    with pytest.raises(kito.UnsupportedModelError, match=r"metric 'counting' \(Lost\).*get_config"):
        kito.reduce(model)


class Surplus(keras.layers.Layer):
    """Its get_config() returns more than its __init__ takes, which Keras itself cannot load."""

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "doubled": 2 * self.factor}


def test_a_configuration_with_more_than_init_takes() -> None:
    check(around(Surplus(3.0)))


def test_a_clone_has_weights_of_its_own() -> None:
    model = around(L.Dense(3, name="dense"), (4,))
    reduced = kito.reduce(model).model
    before = [x.numpy().copy() for x in model.weights]
    for x in reduced.weights:
        x.assign(x + 1.0)
    assert all(np.array_equal(x.numpy(), y) for x, y in zip(model.weights, before, strict=True))


def test_predict_of_the_reduced_model_leaves_the_original_as_it_is() -> None:
    model = around(L.BatchNormalization(), (4,))
    data = feed(model)[0]
    before = model.predict(data, verbose=0)
    reduced = kito.reduce(model, passes=("drop_identity",)).model
    reduced.predict(data, verbose=0)
    assert np.allclose(model.predict(data, verbose=0), before, rtol=1e-6)
