"""Layers whose configuration does not tell all: cloned, copied live, or shared, and always right."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import kito
from kito.graph import copy_layer as copying
from kito.graph.copy_layer import Way, copy_layer
from kito.graph.ir import Op
from kito.graph.keras_internals import all_layers
from kito.graph.read import read_graph
from kito_models import assert_same, feed, outputs, randomize


class Plain(keras.layers.Layer):
    """Its ``get_config()`` says nothing of its arguments."""

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())


class ForgottenScale(Plain):
    def __init__(self, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x: Any) -> Any:
        return x * self.scale


class ForgottenActivation(Plain):
    def __init__(self, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.dense = layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.activation(self.dense(x))


class RandomInInit(Plain):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.noise = np.random.default_rng().normal(size=4).astype("float32")

    def call(self, x: Any) -> Any:
        return x + self.noise


class StateInCall(Plain):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = 0

    def call(self, x: Any) -> Any:
        self.count += 1
        return x * 2


class LazyWeights(Plain):
    """Keras builds the layer inside when it is called, and not before."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class WithLambda(Plain):
    def __init__(self, f: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.f = f or (lambda x: x)

    def call(self, x: Any) -> Any:
        return self.f(x)


def shifted_by(array: np.ndarray) -> Callable[[Any], Any]:
    return lambda x: x + array


class WithClosure(Plain):
    def __init__(self, array: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.f = shifted_by(np.zeros(4, "float32") if array is None else array)

    def call(self, x: Any) -> Any:
        return self.f(x)


class HalfDense(layers.Dense):
    def __init__(self, units: int, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.factor = factor

    def call(self, inputs: Any, training: Any = None) -> Any:
        return super().call(inputs, training=training) * self.factor


class Cyclic(Plain):
    def __init__(self, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.own = SimpleNamespace(scale=scale)
        self.own.owner = self

    def call(self, x: Any) -> Any:
        return x * self.own.owner.own.scale


class Child(Plain):
    def __init__(self, parent: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        vars(self)["parent"] = parent  # without Keras' tracking, which would not end

    def call(self, x: Any) -> Any:
        return x * (1.0 if self.parent is None else self.parent.scale)


class Parent(Plain):
    def __init__(self, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.child = Child(self, name="layer")

    def call(self, x: Any) -> Any:
        return self.child(x) + 1


LAYERS: dict[str, Callable[[], Any]] = {
    "forgotten scale": lambda: ForgottenScale(3.0, name="layer"),
    "forgotten activation": lambda: ForgottenActivation("tanh", name="layer"),
    "random state in __init__": lambda: RandomInInit(name="layer"),
    "state in call": lambda: StateInCall(name="layer"),
    "weights made lazily": lambda: LazyWeights(5, name="layer"),
    "a lambda": lambda: WithLambda(lambda x: x * 3, name="layer"),
    "a closure over an array": lambda: WithClosure(np.arange(4, dtype="float32"), name="layer"),
    "a subclass of a stock layer": lambda: HalfDense(4, 0.5, name="layer"),
    "a cyclic reference": lambda: Cyclic(3.0, name="layer"),
    "a layer that holds its parent": lambda: Parent(3.0, name="layer").child,
}


def model_of(layer: Any) -> Any:
    x = keras.Input((6, 4))
    y = layer(layers.Dense(4, name="before")(x))
    y = layers.BatchNormalization(name="bn")(layers.Conv1D(3, 1, name="after")(y))
    return randomize(keras.Model(x, y))


def op_of(model: Any, name: str = "layer") -> Op:
    ops_by_name = {node.op.name: node.op for node in read_graph(model).nodes}
    return next(op for op in ops_by_name.values() if op.layer is model.get_layer(name))


each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())


@each_layer
@pytest.mark.parametrize("without", [(), (Way.CLONE,), (Way.CLONE, Way.LIVE)], ids=len)
def test_every_way_is_right(
    make: Callable[[], Any], without: tuple[Way, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {way: copy for way, copy in copying.WAYS.items() if way not in without}
    monkeypatch.setattr(copying, "WAYS", ways)
    layer = make()
    model = model_of(layer)
    config, weights = model.get_config(), [w.copy() for w in model.get_weights()]
    attributes = dict(vars(layer))
    reduction = kito.reduce(model, passes=("fold_batchnorm",))  # which inlines no layer

    assert {k: v for k, v in vars(layer).items() if v is not attributes.get(k)} == {}
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)
    copied = next(x for x in all_layers(reduction.model) if type(x) is type(layer))
    assert [x.layer for x in reduction.shared] == (["layer"] if copied is layer else [])
    assert len(without) < 2 or copied is layer
    assert model.get_config() == config
    assert all(map(np.array_equal, model.get_weights(), weights))


@each_layer
def test_which_way_is_taken(make: Callable[[], Any], request: pytest.FixtureRequest) -> None:
    cloned = {"state in call"}
    copy = copy_layer(op_of(model_of(make())))
    name = request.node.callspec.id
    assert copy.way is (Way.CLONE if name in cloned else Way.LIVE), copy.reason
