"""Layers with an incomplete configuration: cloned, copied live, or shared, and always right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from kito_models import assert_same, randomize

import kito
from kito.graph import copy_layer as copying
from kito.graph.copy_layer import Way, copy_layer
from kito.graph.ir import Op
from kito.graph.keras_internals import all_layers
from kito.graph.read import read_graph
from kito.rewrite.transfer import registry


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
    monkeypatch.setattr(copying, "WAYS", [x for x in copying.WAYS if x not in without])
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
    copy = copy_layer(op_of(model_of(make())), lambda model: {})
    name = request.node.callspec.id
    assert copy.way is (Way.CLONE if name in cloned else Way.LIVE), copy.reason


# ---- live copies -------------------------------------------------------------------------------


class Holder(Plain):
    """Holds models, layers in containers, and a variable that two layers use."""

    def __init__(self, units: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chain = keras.Sequential([layers.Dense(units), layers.ReLU()])
        self.parts = {"norm": layers.LayerNormalization(), "pair": (layers.Dense(units), 3.0)}
        self.seed_generator = keras.random.SeedGenerator(5)
        self.helper = SimpleNamespace(dense=self.parts["pair"][0])

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale", trainable=False)
        self.chain.build(shape)
        self.parts["pair"][0].build((*shape[:-1], self.chain.output_shape[-1]))
        self.parts["norm"].build(self.chain.output_shape)

    def call(self, x: Any) -> Any:
        y = self.helper.dense(self.parts["norm"](self.chain(x)))
        return y * self.scale * self.parts["pair"][1]


def test_a_live_copy_shares_no_state_and_keeps_the_order_of_weights() -> None:
    model = model_of(Holder(5, name="layer"))
    layer = model.get_layer("layer")
    layer.parts["norm"].trainable = False
    reduced = kito.reduce(model, passes=("fold_batchnorm",)).model
    copy = reduced.get_layer("layer")

    assert not {id(v) for v in layer.weights} & {id(v) for v in copy.weights}
    assert [v.shape for v in copy.weights] == [v.shape for v in layer.weights]
    assert [x.trainable for x in all_layers(copy)] == [x.trainable for x in all_layers(layer)]
    assert copy.helper.dense is copy.parts["pair"][0]
    copy.set_weights(layer.get_weights())
    assert_same(model, reduced)


def test_a_reduced_model_with_a_live_copy_is_reduced_again_and_saved(tmp_path: Path) -> None:
    first = kito.reduce(model_of(Holder(5, name="layer")), passes=("fold_batchnorm",)).model
    assert_same(first, kito.reduce(first, passes=("fold_batchnorm",)).model)
    first.save_weights(tmp_path / "a.weights.h5")
    before = first.get_weights()
    for variable in first.weights:
        variable.assign(variable * 0)
    first.load_weights(tmp_path / "a.weights.h5")
    assert all(map(np.array_equal, before, first.get_weights()))


@pytest.mark.parametrize("ways", [(Way.CLONE,), (Way.LIVE,)], ids=lambda ways: ways[0].name)
def test_a_copy_keeps_the_graphs_of_the_models_in_it(
    ways: tuple[Way, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inside(Plain):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            x = keras.Input((6, 4))
            y = layers.Conv1D(4, 1, name="conv")(x)
            self.model = keras.Model(x, layers.Add(name="sum")([x, y]), name="inner")

        def call(self, x: Any) -> Any:
            return self.model(x)

    monkeypatch.setattr(copying, "WAYS", ways)
    model = model_of(Inside(name="layer"))
    reduction = kito.reduce(model, passes=("fold_batchnorm",))
    copy = reduction.model.get_layer("layer")
    assert reduction.shared == ()
    calls = [len(x["inbound_nodes"]) for x in copy.model.get_config()["layers"]]
    assert calls == [0, 1, 1]
    assert_same(model, reduction.model)


# ---- shared layers -----------------------------------------------------------------------------


class Bound(Plain):
    """A function of its own refers to it, so no copy could be told from the original."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.f = lambda x: x * self.scale * self.factor

    def call(self, x: Any) -> Any:
        return self.f(x)


def test_a_shared_layer_is_named_and_its_flags_stay() -> None:
    model = model_of(Bound(3.0, name="layer"))
    layer = model.get_layer("layer")
    model.trainable = False
    layer.trainable = True
    reduction = kito.reduce(model)

    assert reduction.model.get_layer("layer") is layer
    assert layer.trainable
    assert layer.scale.trainable
    (shared,) = reduction.shared
    assert (shared.layer, "refers to layers or variables" in shared.reason) == ("layer", True)
    assert f"shared: 1\n  layer: {shared.reason}" in reduction.summary()
    assert reduction.to_dict()["shared"] == [{"layer": "layer", "reason": shared.reason}]
    assert len(layer._inbound_nodes) == 2
    assert_same(model, reduction.model)


def test_a_comparison_in_float64_leaves_no_record_in_a_shared_layer() -> None:
    model = model_of(Bound(3.0, name="layer"))
    reduced = kito.reduce(model).model
    layer = model.get_layer("layer")
    before = len(layer._inbound_nodes)
    comparison = kito.compare(model, reduced, reference="float64")
    assert comparison.passed
    assert comparison.error_vs_float64 is not None
    assert len(layer._inbound_nodes) == before


def test_a_shared_layer_is_an_error_where_it_is_strict() -> None:
    model = model_of(Bound(3.0, name="layer"))
    with pytest.raises(kito.UnsupportedModelError, match=r"'layer' \(its get_config\(\) loses.*st"):
        kito.reduce(model, strict=True)


def test_a_layer_that_cannot_be_run_is_shared() -> None:
    class Picky(Plain):
        def __init__(self, size: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.size = size

        def call(self, x: Any) -> Any:
            if keras.ops.is_tensor(x) and not isinstance(x, keras.KerasTensor) and x.shape[0] == 2:
                raise ValueError("not two")
            return x

    model = model_of(Picky(name="layer"))
    (shared,) = kito.reduce(model).shared
    assert "cannot be run on random inputs: ValueError" in shared.reason


class Scaled(kito.Transfer):
    """``Bound`` is an affine, and absorbs one."""

    def absorb_following(self, op: Op, affine: kito.Affine, rank: int) -> kito.Change:
        return kito.Change({"scale": op.weight("scale") * affine.scale[0]})


def test_a_layer_that_cannot_be_copied_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TRANSFERS", dict(registry._TRANSFERS))
    kito.register(Bound, Scaled())
    x = keras.Input((4,))
    y = layers.Rescaling(2.0, name="double")(Bound(3.0, name="layer")(x))
    model = keras.Model(x, y)
    reduction = kito.reduce(model)

    assert [x.layer for x in reduction.shared] == ["layer"]
    (kept,) = reduction.kept
    assert kept.layer == "double"
    assert "'layer' (Bound) cannot be copied, and stays as it is: " in kept.reason
    assert_same(model, reduction.model)


def test_a_layer_with_a_taken_name_keeps_what_holds_it_closed() -> None:
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.bound = Bound(2.0, name="bound")
            self.bn = layers.BatchNormalization()

        def call(self, x: Any) -> Any:
            return self.bn(self.bound(x))

    x = keras.Input((4,))
    model = randomize(keras.Model(x, Block(name="b")(Block(name="a")(x))))
    reduction = kito.reduce(model)
    assert_same(model, reduction.model)
    assert reduction.batchnorms[1] == 1
    assert "'bound' in it cannot be copied, and another layer has its name" in reduction.summary()


def test_an_attribute_with_a_name_like_those_of_tensorflow_is_copied() -> None:
    class Attention(Plain):
        def __init__(self, units: int = 1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._self_attention = layers.Dense(units, activation="tanh" if units > 1 else None)

        def build(self, shape: Any) -> None:
            self._self_attention.build(shape)

        def call(self, x: Any) -> Any:
            return self._self_attention(x)

    copy = copy_layer(op_of(model_of(Attention(4, name="layer"))), lambda model: {})
    assert copy.way is Way.LIVE
    assert "loses '_self_attention.units', which is 4 but 1" in copy.reason
