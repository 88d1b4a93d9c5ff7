"""Attributes that a configuration forgets are detected; frozen layers stay frozen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from kito_models import assert_same, randomize

import kito
from kito.graph.clone_check import find_mismatch
from kito.graph.copy_layer import Way, copy_layer
from kito.graph.keras_internals import all_layers
from kito.graph.read import read_graph

L = keras.layers

CLOSED = ("fold_batchnorm",)
"""A pass that inlines no layer, so that layers that contain layers are cloned."""


class Forgetful(keras.layers.Layer):
    """Its configuration lacks ``value``; subclasses store it in different ways."""

    def __init__(self, value: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep(value)

    def keep(self, value: Any) -> None:
        raise AssertionError

    def call(self, x: Any) -> Any:
        return x

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config


class Private(Forgetful):
    def keep(self, value: Any) -> None:
        self._value = value or 1.0


class Array(Forgetful):
    def keep(self, value: Any) -> None:
        self.table = np.ones(2) if value is None else np.asarray(value)


class Function(Forgetful):
    def keep(self, value: Any) -> None:
        self.function = value or ops.sin


class Nested(Forgetful):
    def keep(self, value: Any) -> None:
        self.options = {"a": [value or 1, 2]}


class Sublayer(Forgetful):
    def keep(self, value: Any) -> None:
        self.inner = L.Dense(3, activation=value or "relu")

    def call(self, x: Any) -> Any:
        return self.inner(x)


class Cell(Forgetful):
    state_size = output_size = 4

    def keep(self, value: Any) -> None:
        self.value = value

    def call(self, x: Any, states: Any = None) -> Any:
        return x, states


@pytest.mark.parametrize(
    "layer, message",
    [
        (Private(3.0), r"loses '_value', which is 3\.0 but 1\.0 in a layer created from it"),
        (Array([1.0, 2.0]), r"loses 'table', which is array\(\[1\., 2\.\]\)"),
        (Function(ops.cos), r"loses 'function', which is cos but sin"),
        (Nested(7), r"loses 'options\['a'\]\[0\]', which is 7 but 1"),
        (Sublayer("tanh"), r"loses 'inner\.activation', which is tanh but relu"),
        (L.RNN(Cell(3.0)), r"its get_config\(\) loses 'cell\.value', which is 3\.0 but None"),
    ],
)
def test_a_forgotten_argument_is_found(layer: Any, message: str) -> None:
    x = keras.Input((3, 4))
    graph = read_graph(keras.Model(x, layer(x)))
    (op,) = (node.op for node in graph.nodes if not node.is_input)
    copy = copy_layer(op, lambda model: {})
    assert copy.way is Way.LIVE
    assert re.search(message, copy.reason)


class Rich(keras.layers.Layer):
    """Has attributes that differ between equal layers, though no argument was lost."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        inside = keras.Input((4,))
        self.model = keras.Model(inside, L.Dropout(0.2)(L.Dense(4)(inside)))
        self.chain = keras.Sequential([L.Dense(4), L.GaussianNoise(0.2)])
        self.parts = [L.LayerNormalization(), {"flip": L.RandomFlip(), "dense": L.Dense(3)}]
        self.nan = float("nan")

    def build(self, shape: Any) -> None:
        self.sizes = tuple(shape)

    def call(self, x: Any) -> Any:
        return self.parts[1]["dense"](self.parts[0](self.chain(self.model(x))))


def test_layers_that_lost_nothing() -> None:
    x = keras.Input((4,))
    model = randomize(keras.Model(x, Rich()(x)))
    assert_same(model, kito.reduce(model, passes=CLOSED).model)


def test_a_subclassed_model_that_was_compiled_lost_nothing() -> None:
    class Inner(keras.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = L.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    inner = Inner()
    inner.compile(loss="mse", optimizer="sgd")
    inner.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    x = keras.Input((4,))
    model = randomize(keras.Model(x, inner(x)))
    assert_same(model, kito.reduce(model, passes=CLOSED).model)


def test_requested_changes_are_no_mismatch() -> None:
    assert find_mismatch(Private(3.0), Private(2.0), {"_value"}) is None
    assert find_mismatch(L.Dense(3), L.Dense(4)) is None  # Keras' own configurations are complete


def freeze_sublayer(model: Any) -> None:
    model.get_layer("rich").parts[1]["dense"].trainable = False


def free_wrapper(model: Any) -> None:
    model.trainable = False
    model.get_layer("wrapper").trainable = True


def free_inside_wrapper(model: Any) -> None:
    model.trainable = False
    model.get_layer("wrapper").layer.trainable = True


def free_half(model: Any) -> None:
    model.trainable = False
    model.get_layer("both").trainable = True
    model.get_layer("both").forward_layer.trainable = False


@pytest.mark.parametrize("freeze", [freeze_sublayer, free_wrapper, free_inside_wrapper, free_half])
def test_what_is_frozen_stays_frozen(freeze: Callable[[Any], None]) -> None:
    x = keras.Input((3, 4))
    y = L.TimeDistributed(L.Dense(4), name="wrapper")(x)
    y = L.Bidirectional(L.LSTM(2), name="both")(y)
    model = keras.Model(x, Rich(name="rich")(y))
    freeze(model)
    reduced = kito.reduce(model, passes=CLOSED).model
    pairs = zip(all_layers(model), all_layers(reduced), strict=True)
    assert [(a.name, a.trainable) for a, b in pairs if a.trainable is not b.trainable] == []
    assert len(reduced.trainable_variables) == len(model.trainable_variables)
