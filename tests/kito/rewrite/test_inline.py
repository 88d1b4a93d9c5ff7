"""Composite layers and subclassed models: inlined right, or closed with the reason."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from kito_models import RTOL, assert_same, backend_relu, randomize

import kito
from kito.graph.keras_internals import all_layers
from kito.rewrite.inline import sweep
from kito.rewrite.inline.reasons import StaysClosed
from kito.rewrite.transfer import registry
from kito.runtime.run import to_numpy

L = keras.layers
Call = Callable[..., Any]


class Unit(L.Layer):
    """Convolution, normalization and dropout, made by the layer itself; without get_config()."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = L.Conv2D(filters, 3, padding="same", use_bias=False, name="conv")
        self.bn = L.BatchNormalization(name="bn")
        self.dropout = L.Dropout(0.3, name="dropout")

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.bn(self.conv(x), training=training)
        return ops.relu(self.dropout(x, training=training))


class Residual(L.Layer):
    """Two units, made in build(), and a shortcut."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, shape: Any) -> None:
        self.units = [Unit(self.filters, name=f"unit_{i}") for i in range(2)]
        self.shortcut = L.Conv2D(self.filters, 1, name="shortcut")
        self.norm = L.BatchNormalization(name="norm")

    def call(self, x: Any) -> Any:
        y = x
        for unit in self.units:
            y = unit(y)
        return y + self.norm(self.shortcut(x))


class Network(keras.Model):
    """Three levels: the model, its blocks, their units."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stem = keras.Sequential([L.Conv2D(4, 3), L.BatchNormalization()], name="stem")
        self.blocks = [Residual(6, name=f"block_{i}") for i in range(2)]
        self.head = L.Dense(3, name="head")

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.stem(x, training=training)
        for block in self.blocks:
            x = block(x)
        return self.head(ops.mean(x, axis=(1, 2)))


class Custom(L.Layer):
    """Holds a Dense, a BatchNormalization and a Dropout, and calls ``what`` of itself."""

    def __init__(self, what: Call, setup: Call | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.what, self.setup = what, setup
        self.dense = L.Dense(4, name="dense")
        self.bn = L.BatchNormalization(name="bn")
        self.dropout = L.Dropout(0.5, name="dropout")
        if setup:
            setup(self)

    def build(self, shape: Any) -> None:
        for layer in all_layers(self):
            if not (layer.built or isinstance(layer, keras.Model)):
                layer.build(shape)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def call(self, x: Any) -> Any:
        return self.what(self, x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "what": self.what, "setup": self.setup}


def plain(self: Any, x: Any) -> Any:
    return self.bn(self.dense(x))


def around(layer: Any, shape: tuple[int, ...] = (5, 4), name: str | None = None) -> Any:
    x = keras.Input(shape)
    return randomize(keras.Model(x, L.Activation("tanh")(layer(x)), name=name))


def images(count: int = 3) -> Any:
    return np.random.default_rng(0).normal(size=(count, 12, 12, 3)).astype("float32")


def network() -> Any:
    model = Network(name="network")
    model(images())
    return randomize(model)


def assert_same_on(model: Any, reduced: Any, x: Any) -> None:
    calls = (keras.tree.flatten(m(x, training=False)) for m in (model, reduced))
    expected, got = ([to_numpy(y) for y in outputs] for outputs in calls)
    assert len(expected) == len(got)
    for a, b in zip(expected, got, strict=True):
        assert np.abs(a - b).max() <= RTOL * np.abs(a).max()


def test_a_subclassed_model_of_three_levels(tmp_path: Path) -> None:
    model = network()
    before = {id(x): x.numpy() for x in model.weights}
    reduction = kito.reduce(model)

    assert reduction.batchnorms == (7, 0)
    assert not reduction.kept
    assert reduction.opened[:3] == ("block_0", "block_0-unit_0", "block_0-unit_1")
    assert reduction.model.name == "network"
    assert {x.name for x in reduction.model.layers} >= {
        "stem",
        "block_0-unit_0-conv",
        "block_1-shortcut",
        "head",
    }
    assert_same_on(model, reduction.model, images())
    assert kito.compare(model, reduction.model).passed
    assert kito.compare(model, reduction.model, reference="float64").passed
    # The classes are not needed to load it.
    reduction.model.save(tmp_path / "network.keras")
    assert_same_on(model, keras.saving.load_model(tmp_path / "network.keras"), images())
    assert all(np.array_equal(x.numpy(), before[id(x)]) for x in model.weights)


def test_the_live_layers_are_left_as_they_were() -> None:
    model = network()
    layers = [model, *all_layers(model)]
    state = [(len(x._inbound_nodes), len(x._outbound_nodes), set(vars(x))) for x in layers]
    kito.reduce(model)
    kito.compare(model, model)
    after = [(len(x._inbound_nodes), len(x._outbound_nodes), set(vars(x))) for x in layers]
    assert after == state
    assert type(keras.Variable.__mul__).__name__ == "function"


def test_a_model_that_only_holds_a_list() -> None:
    """TensorFlow notes down what it holds when it is called symbolically for the first time."""

    class Chain(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="chain")
            self.units = [Unit(4, name=f"unit_{i}") for i in range(2)]

        def call(self, x: Any) -> Any:
            for unit in self.units:
                x = unit(x)
            return x

    model = Chain()
    model(images())
    randomize(model)
    assert kito.reduce(model).batchnorms == (2, 0)


def test_kitos_own_fold_opens_nothing() -> None:
    model = around(Custom(plain, name="block"))
    reduction = kito.reduce(model, passes=("fold_batchnorm",))
    assert (reduction.opened, reduction.batchnorms) == ((), (1, 1))


def test_inputs_and_outputs_keep_their_names_and_structure() -> None:
    class Heads(L.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.bn, self.a, self.b = L.BatchNormalization(), L.Dense(2), L.Dense(3)

        def call(self, inputs: Any, extra: Any = None, *, more: Any = None) -> Any:
            x = inputs["left"] + inputs["right"][0] * extra - more
            return {"one": self.a(x), "two": [self.b(self.bn(x)), x]}

    names = ("left", "right", "extra", "more")
    x = {name: keras.Input((4,), name=name) for name in names}
    y = Heads(name="heads")(
        {"left": x["left"], "right": [x["right"]]}, extra=x["extra"], more=x["more"]
    )
    model = randomize(keras.Model(x, y))
    reduction = kito.reduce(model)

    assert reduction.opened == ("heads",)
    assert reduction.batchnorms == (1, 0)
    assert list(reduction.model.input) == list(names)
    assert keras.tree.map_structure(lambda _: 0, reduction.model.output) == {
        "one": 0,
        "two": [0, 0],
    }
    assert kito.compare(model, reduction.model).passed
    assert_same(model, reduction.model)


def test_a_layer_that_is_called_twice_is_opened_at_both() -> None:
    block = Custom(plain, name="block")
    x = keras.Input((4,))
    model = randomize(keras.Model(x, L.Activation("tanh")(block(ops.sin(block(x))))))
    reduction = kito.reduce(model)

    assert reduction.batchnorms == (1, 0)
    assert [type(x) for x in reduction.model.layers].count(L.Dense) == 1
    assert_same(model, reduction.model)


def test_a_layer_that_two_share_stays_one() -> None:
    shared = L.Dense(4, name="shared")

    def call(self: Any, x: Any) -> Any:
        return self.bn(shared(x))

    def setup(self: Any) -> None:
        self.shared = shared

    x = keras.Input((4,))
    y = L.Activation("tanh")(Custom(call, setup, name="first")(x))
    y = Custom(call, setup, name="second")(y)
    model = randomize(keras.Model(x, y))
    reduction = kito.reduce(model, passes=("drop_identity",))

    assert reduction.opened == ("first", "second")
    names = [x.name for x in reduction.model.layers]
    assert names.count("first-shared") == 1
    assert not [x for x in names if x.startswith("second-shared")]
    assert_same(model, reduction.model)
    assert_same(model, kito.reduce(model).model)


def test_one_name_inside_of_several_layers() -> None:
    """Names are unique in a Keras model, not in its layers."""

    def setup(self: Any) -> None:
        self.other = L.Dense(4, name="dense")

    def call(self: Any, x: Any) -> Any:
        return self.other(ops.sin(self.bn(self.dense(x)))) + x

    x = keras.Input((4,))
    y = x
    for i in range(2):
        y = Custom(call, setup, name=f"block{i}")(y)
    model = randomize(keras.Model(x, L.Dense(3, name="block0-dense")(y)))
    reduced = kito.reduce(model).model
    assert {"block0-dense", "block0-dense_1", "block1-dense", "block1-dense_1"} <= {
        x.name for x in reduced.layers
    }
    assert_same(model, reduced)


def test_a_sequential_stays_one_where_it_can() -> None:
    def chain(self: Any, x: Any) -> Any:
        return self.dropout(self.bn(self.dense(x)))

    def fork(self: Any, x: Any) -> Any:
        return chain(self, x) + x

    for what, kind in ((chain, keras.Sequential), (fork, keras.Model)):
        model = randomize(
            keras.Sequential([keras.Input((4,)), L.Dense(4), Custom(what), L.ReLU()], name="s")
        )
        reduced = kito.reduce(model).model
        assert isinstance(reduced, kind)
        assert isinstance(reduced, keras.Sequential) is (kind is keras.Sequential)
        assert reduced.name == "s"
        assert_same(model, reduced)


def test_a_sequential_has_no_place_for_an_argument() -> None:
    class Power(L.Layer):
        def call(self, x: Any, exponent: int = 1) -> Any:
            return x**exponent

    def setup(self: Any) -> None:
        self.power = Power(name="power")

    layer = Custom(lambda self, x: self.power(self.bn(self.dense(x)), exponent=2), setup)
    model = randomize(keras.Sequential([keras.Input((4,)), layer, L.ReLU()]))
    reduced = kito.reduce(model).model
    assert not isinstance(reduced, keras.Sequential)
    assert_same(model, reduced)


def test_in_nested_models() -> None:
    inner = keras.Input((4,))
    nested = keras.Model(inner, Custom(plain, name="block")(inner), name="nested")
    chain = keras.Sequential([keras.Input((4,)), Custom(plain, name="block")], name="chain")
    model = around(lambda x: chain(nested(x)), shape=(4,))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (2, 0)
    assert_same(model, reduction.model)


def test_a_functional_model_inside_of_a_layer() -> None:
    def setup(self: Any) -> None:
        x = keras.Input((5, 4))
        self.inner = keras.Model(x, L.BatchNormalization()(Custom(plain, name="deep")(x)))

    model = around(Custom(lambda self, x: self.inner(self.dense(x)), setup, name="block"))
    reduction = kito.reduce(model)
    assert reduction.batchnorms[1] == 0
    assert_same(model, reduction.model)


@pytest.mark.parametrize(
    "dtype",
    [
        "mixed_float16",
        pytest.param("float64", marks=pytest.mark.backends("tensorflow", "torch")),
        "mixed_bfloat16",
    ],
)
def test_other_dtypes(dtype: str) -> None:
    def setup(self: Any) -> None:
        self.dense = L.Dense(4, dtype=dtype)
        self.bn = L.BatchNormalization(dtype=dtype)

    model = around(Custom(plain, setup, name="block", dtype=dtype))
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    assert reduction.batchnorms[1] == 0
    assert_same(model, reduction.model, rtol=1e-4 if dtype == "float64" else 2e-2)


@pytest.mark.parametrize("rest", [(20,), (-1,), (10, -1), (5, 2, 2)])
def test_a_batch_size_that_is_read_and_used(rest: tuple[int, ...], tmp_path: Path) -> None:
    def call(self: Any, x: Any) -> Any:
        y = self.bn(self.dense(x))
        return ops.reshape(ops.sin(ops.reshape(y, (ops.shape(x)[0], *rest))), (-1, 5, 4))

    model = around(Custom(call, name="block"))
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    for batch in (1, 3):
        assert_same(model, reduction.model, batch=batch)
    reduction.model.save(tmp_path / "model.keras")
    assert_same(model, keras.saving.load_model(tmp_path / "model.keras"))


class Raw(L.Layer):
    """Stays closed, and says nothing of its results."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = L.Conv1D(4, 1)

    def build(self, shape: Any) -> None:
        self.conv.build(shape)

    def call(self, x: Any) -> Any:
        return backend_relu(self.conv(x))


def test_a_product_with_a_constant_before_a_layer_that_stays_closed() -> None:
    """Keras takes such a product for sparse, which most layers cannot take."""

    def setup(self: Any) -> None:
        self.inner = Raw(name="raw")

    block = Custom(lambda self, x: self.inner(self.bn(self.dense(x)) * 0.5), setup, name="block")
    model = around(block)
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    assert "block-raw" in [x.name for x in reduction.model.layers]
    assert_same(model, reduction.model)


# ---- weights of their own ------------------------------------------------------------------------


def with_weight(shape: tuple[int, ...], name: str = "own") -> Call:
    def setup(self: Any) -> None:
        self.own = self.add_weight(shape=shape, name=name)

    return setup


HELD: dict[str, tuple[tuple[int, ...], Call, list[str]]] = {
    "scale before the tensor": ((4,), lambda self, x: self.own * self.dense(x), []),
    "scale after it": ((4,), lambda self, x: self.dense(x) * self.own, []),
    "sum": ((4,), lambda self, x: ops.add(self.own, self.dense(x)), []),
    "difference": ((4,), lambda self, x: self.own - self.dense(x), []),
    "scalar": ((), lambda self, x: self.dense(x) * self.own, []),
    "matrix": ((4, 4), lambda self, x: ops.matmul(x, self.own) + 1.0, ["Dense"]),
    "matrix, by operator": ((4, 4), lambda self, x: ops.sin(x @ self.own), ["Dense"]),
    "positions": ((5, 4), lambda self, x: ops.sin(x + self.own), ["Rescaling"]),
    "a value computed from it": ((4,), lambda self, x: self.dense(x) * ops.exp(self.own), []),
}


@pytest.mark.parametrize("name", list(HELD))
def test_own_weights_that_a_stock_layer_can_hold(name: str, tmp_path: Path) -> None:
    shape, call, left = HELD[name]
    model = around(Custom(call, with_weight(shape), name="block"))
    reduction = kito.reduce(model)

    assert reduction.opened == ("block",)
    kinds = [type(x).__name__ for x in reduction.model.layers]
    assert [x for x in kinds if x in ("Rescaling", "Dense")] == (left or ["Dense"])
    assert_same(model, reduction.model)
    reduction.model.save(tmp_path / "model.keras")
    assert_same(model, keras.saving.load_model(tmp_path / "model.keras"))


UNHELD: dict[str, tuple[tuple[int, ...], Call, str]] = {
    "larger than the tensor": (
        (3, 1, 1, 4),
        lambda self, x: ops.sum(self.dense(x) + self.own, axis=0),
        r"no stock layer can hold its weight '.*own' of shape \(3, 1, 1, 4\), which 'Add' uses",
    ),
    "in a concatenation": (
        (1, 5, 4),
        lambda self, x: (
            ops.concatenate([self.dense(x), ops.repeat(x[:1] * 0, 1, axis=0) + self.own], axis=-1)
            if False
            else ops.maximum(self.dense(x), self.own)
        ),
        r"no stock layer can hold its weight '.*own'.*'Maximum' uses",
    ),
    "as a Python number": (
        (),
        lambda self, x: self.dense(x) * float(self.own.numpy()),
        r"no layer in it has its weight '.*own'",
    ),
    "not at all": (
        (4,),
        lambda self, x: self.dense(x),
        r"no layer in it has its weight '.*own'",
    ),
    "quotient": (
        (4,),
        lambda self, x: self.dense(x) / self.own,
        r"no stock layer can hold its weight '.*own'",
    ),
}


def assert_closed(model: Any, reason: str) -> None:
    reduction = kito.reduce(model)
    assert reduction.opened == ()
    assert any(re.search(reason, x.reason) for x in reduction.kept), reduction.kept
    assert_same(model, reduction.model)


@pytest.mark.parametrize("name", list(UNHELD))
def test_own_weights_that_nothing_can_hold(name: str) -> None:
    shape, call, reason = UNHELD[name]
    assert_closed(around(Custom(call, with_weight(shape), name="block")), reason)


def test_a_layer_that_is_only_called_on_constants() -> None:
    def setup(self: Any) -> None:
        self.positions = L.Embedding(5, 4)

    def call(self: Any, x: Any) -> Any:
        return ops.maximum(self.dense(x), self.positions(ops.arange(5)))

    assert_closed(around(Custom(call, setup, name="block")), "no stock layer can hold")


def test_a_layer_that_serves_training_only_goes() -> None:
    class Auxiliary(L.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense, self.bn, self.aux = L.Dense(4), L.BatchNormalization(), L.Dense(2)

        def build(self, shape: Any) -> None:
            for layer in (self.dense, self.bn, self.aux):
                layer.build(shape)

        def call(self, x: Any, training: Any = None) -> Any:
            if training:
                self.add_loss(ops.mean(self.aux(x)))
            return self.bn(self.dense(x))

        def get_config(self) -> dict[str, Any]:
            return super().get_config()

    model = around(Auxiliary(name="block"), shape=(4,))
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    assert [type(x) for x in reduction.model.layers].count(L.Dense) == 1
    assert_same(model, reduction.model)


# ---- closed, with the reason ---------------------------------------------------------------------


def count(self: Any, x: Any) -> Any:
    self.counter.assign(self.counter + 1)
    return plain(self, x)


def count_in_python(self: Any, x: Any) -> Any:
    self.counted += 1
    return plain(self, x)


def append(self: Any, x: Any) -> Any:
    self.seen.append("x")
    return plain(self, x)


def differently_when_traced(self: Any, x: Any) -> Any:
    return plain(self, x) * (2.0 if isinstance(x, keras.KerasTensor) else 1.0)


def branch(self: Any, x: Any) -> Any:
    x = self.dense(x)
    return self.bn(x) if ops.max(x) > 0 else x


CLOSED: dict[str, tuple[Call, str]] = {
    "branches on values": (branch, r"its call\(\) decides by the values of tensors"),
    "the backend's own operations": (
        lambda self, x: self.bn(backend_relu(self.dense(x))),
        r"its call\(\) uses operations outside Keras",
    ),
    "NumPy": (
        lambda self, x: self.bn(np.asarray(self.dense(x))),
        r"its call\(\) uses operations outside Keras|cannot be followed",
    ),
    "training mode inside": (
        lambda self, x: self.bn(self.dense(x), training=True),
        "it calls 'bn' with training=True",
    ),
    "another result when it is traced": (
        differently_when_traced,
        "its inside gives other outputs than the layer itself",
    ),
    "open sizes that it reads": (
        lambda self, x: self.bn(ops.ones((ops.shape(x)[0], 1, 1)) * self.dense(x)),
        r"its call\(\) cannot be followed",
    ),
}


@pytest.mark.parametrize("name", list(CLOSED))
def test_stays_closed(name: str) -> None:
    call, reason = CLOSED[name]
    assert_closed(around(Custom(call, name="block")), reason)


def test_each_level_is_compared() -> None:
    def setup(self: Any) -> None:
        self.inner = Custom(differently_when_traced, name="inner")

    model = around(Custom(lambda self, x: self.inner(self.bn(x)), setup, name="block"))
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    assert "its inside gives other outputs" in reduction.kept[0].reason
    assert_same(model, reduction.model)


@pytest.mark.parametrize("call", [count, count_in_python, append])
def test_state_is_seen_and_left_alone(call: Call) -> None:
    def setup(self: Any) -> None:
        self.counter = self.add_weight(shape=(), initializer="zeros", name="counter")
        self.counted, self.seen = 0, []

    layer = Custom(call, setup, name="block")
    model = around(layer)
    layer.counter.assign(3)
    before = (layer.counted, list(layer.seen))
    found = sweep.read_inlined(model)

    assert found.names == ()
    (op,) = (x.op for x in found.graph.nodes if x.op.name == "block")
    assert "it changes" in (op.closed or "")
    assert (layer.counted, list(layer.seen)) == before
    assert layer.counter.numpy() == 3


def test_called_in_training_mode() -> None:
    class Trained(Custom):
        def call(self, x: Any, training: Any = None) -> Any:
            return self.bn(self.dense(x), training=training)

    block = Trained(plain, name="block")
    assert_closed(around(lambda x: block(x, training=True)), "it is called with training=True")


def test_called_with_a_mask() -> None:
    x = keras.Input((5,), dtype="int32")
    embedded = L.Embedding(7, 4, mask_zero=True)(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the layer takes no mask
        y = Custom(plain, name="block")(embedded)
        assert_closed(randomize(keras.Model(x, L.Dense(2)(y))), "it is called with a mask")


def test_a_mask_that_is_made_inside() -> None:
    def setup(self: Any) -> None:
        self.embed = L.Embedding(7, 4, mask_zero=True)

    class Words(Custom):
        def build(self, shape: Any) -> None:
            self.embed.build(shape)
            self.dense.build((*shape, 4))

        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape, 4)

    x = keras.Input((5,), dtype="int32")
    y = Words(lambda self, x: self.embed(x), setup, name="block")(x)
    model = randomize(keras.Model(x, L.Dense(2)(L.Activation("tanh")(y))))
    assert_closed(model, "it makes a mask")


def test_a_call_of_its_own() -> None:
    class Wrapped(Custom):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    assert_closed(around(Wrapped(plain, name="block")), "it has a __call__ of its own")


def test_results_of_another_dtype() -> None:
    class Told(Custom):
        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, "float16")

    model = around(Told(plain, name="block"))
    assert_closed(model, "other dtypes")


def test_wrapped() -> None:
    model = around(L.TimeDistributed(Custom(plain, name="block"), name="each"))
    assert_closed(model, "'each' wraps it")


def test_a_taught_layer_is_its_teachers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._TRANSFERS, Custom, kito.Transfer())
    assert kito.reduce(around(Custom(plain, name="block"))).opened == ()


# ---- subclassed models ---------------------------------------------------------------------------


class Pair(keras.Model):
    """Two inputs, two outputs; the first layer takes numbers of rows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed, self.bn = L.Embedding(9, 4), L.BatchNormalization()
        self.dense, self.out = L.Dense(4), L.Dense(3)

    def call(self, inputs: Any) -> Any:
        ids, values = inputs
        x = self.bn(self.dense(self.embed(ids))) + values
        return self.out(x), x


PAIR = [
    np.array([[1, 2], [8, 0], [3, 4], [5, 7]]),
    np.random.default_rng(0).normal(size=(4, 2, 4)).astype("float32"),
]


def test_example_inputs_build_and_describe_a_model() -> None:
    keras.utils.set_random_seed(0)  # the reduction builds it
    model = Pair(name="pair")
    reduction = kito.reduce(model, example_inputs=PAIR)

    assert reduction.batchnorms == (1, 0)
    assert [x.dtype for x in reduction.model.inputs] == ["int64", "float32"]
    assert_same_on(model, reduction.model, PAIR)
    inputs = dict(zip([x.name for x in reduction.model.inputs], PAIR, strict=True))
    assert kito.compare(model, reduction.model, inputs).passed
    estimate = kito.measure_speedup(model, reduction.model, inputs, batch_size=2, budget_s=0.5)
    assert estimate.ratio > 0


def test_a_subclassed_model_keeps_loss_and_metrics() -> None:
    model = network()
    model.compile(loss="mse", metrics=["mae"], optimizer="adam")
    x, y = images(4), np.ones((4, 3), "float32")
    reduced = kito.reduce(model).model
    expected, got = (m.evaluate(x, y, verbose=0) for m in (model, reduced))
    assert np.allclose(expected, got, rtol=1e-4)


def test_a_subclassed_model_of_a_dict() -> None:
    class Dicts(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="dicts")
            self.dense, self.bn = L.Dense(4), L.BatchNormalization()

        def call(self, inputs: Any) -> Any:
            return {"sum": self.bn(self.dense(inputs["a"])) + inputs["b"]}

    model = Dicts()
    x = {name: np.eye(2, n, dtype="float32") for name, n in (("a", 3), ("b", 4))}
    model(x)
    randomize(model)
    reduction = kito.reduce(model)
    assert [x.name for x in reduction.model.inputs] == ["a", "b"]
    assert_same_on(model, reduction.model, x)
    assert kito.compare(model, reduction.model, x).passed


class Odd(keras.Model):
    """Calls ``what`` of itself, on one tensor."""

    def __init__(self, what: Call) -> None:
        super().__init__(name="odd")
        self.what, self.dense = what, L.Dense(4)

    def call(self, x: Any) -> Any:
        return self.what(self, x)


def test_a_subclassed_model_that_cannot_be_opened() -> None:
    model = Odd(lambda self, x: backend_relu(self.dense(x)))
    model(np.ones((2, 4), "float32"))
    with pytest.raises(
        kito.UnsupportedModelError,
        match=r"'odd'.*cannot be opened: its call\(\) uses operations outside Keras.*functional",
    ):
        kito.reduce(model)


class RawModel(keras.Model):
    """Its functional parts can be reduced, and what it does between them cannot be seen."""

    def __init__(self) -> None:
        super().__init__(name="raw")
        image = keras.Input((8, 8, 3))
        x = L.BatchNormalization()(L.Conv2D(4, 3)(image))
        self.backbone = keras.Model(image, L.ReLU()(x), name="backbone")
        self.heads = {
            "a": keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization()])
        }
        self.scale = 0.5

    def call(self, x: Any) -> Any:
        return self.heads["a"](backend_relu(self.backbone(x)[:, 0, 0]) * self.scale)


def test_the_models_in_a_subclassed_model_that_cannot_be_opened() -> None:
    model = RawModel()
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    model(images)
    randomize(model)
    model.compile(loss="mse")
    before = model.get_weights()
    reduction = kito.reduce(model)

    assert reduction.batchnorms == (2, 0)
    assert type(reduction.model) is RawModel
    (kept,) = reduction.kept
    assert (kept.layer, "the models in it are reduced" in kept.reason) == ("raw", True)
    assert kito.compare(model, reduction.model, images).passed
    assert reduction.model.evaluate(images, np.zeros((4, 3)), verbose=0) >= 0
    assert all(map(np.array_equal, model.get_weights(), before))


def test_a_subclassed_model_that_was_never_built() -> None:
    with pytest.raises(kito.UnsupportedModelError, match=r"never built.*example_inputs"):
        kito.reduce(Network())


def test_a_subclassed_model_that_fails_on_its_example() -> None:
    with pytest.raises(kito.UnsupportedModelError, match="fails on the example inputs"):
        kito.reduce(Network(), example_inputs=np.ones((2, 3), "float32"))


class Two(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="two")
        self.dense, self.bn = L.Dense(4), L.BatchNormalization()

    def call(self, a: Any, b: Any) -> Any:
        return self.bn(self.dense(a)) + b


class KeywordOnly(Two):
    def build(self, a_shape: Any, b_shape: Any) -> None:
        self.dense.build(a_shape)
        self.bn.build((None, 4))

    def call(self, a: Any, *, b: Any, training: Any, **more: Any) -> Any:
        return self.bn(self.dense(a), training=training) + b


TWO = [np.eye(3, n, dtype="float32") for n in (3, 4)]


@pytest.mark.parametrize("examples", [TWO, tuple(TWO), {"b": TWO[1], "a": TWO[0]}])
def test_a_subclassed_model_of_several_arguments(examples: Any) -> None:
    model = Two()
    model(*TWO)
    randomize(model)
    reduction = kito.reduce(model, example_inputs=examples)
    assert reduction.batchnorms == (1, 0)
    assert [x.name for x in reduction.model.inputs] == ["a", "b"]
    expected, got = to_numpy(model(*TWO)), to_numpy(reduction.model(TWO))
    assert np.allclose(expected, got, atol=1e-5)
    for inputs in (None, TWO, {"a": TWO[0], "b": TWO[1]}):
        assert kito.compare(model, reduction.model, inputs).passed


def test_a_subclassed_model_that_was_built_for_several_arguments() -> None:
    model = KeywordOnly()
    model(TWO[0], b=TWO[1], training=False)
    randomize(model)
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert kito.compare(model, reduction.model, TWO).passed


def test_several_arguments_that_are_unknown() -> None:
    model = Two()
    model(*TWO)
    with pytest.raises(
        kito.UnsupportedModelError, match=r"takes several tensors \(a, b\).*list or"
    ):
        kito.reduce(model)
    with pytest.raises(kito.UnsupportedModelError, match="a list of these, or as a dict by these"):
        kito.reduce(model, example_inputs=TWO[:1])


@pytest.mark.parametrize("inner", [L.Rescaling(2.0), L.Dense(4)], ids=lambda x: x.name)
def test_a_closed_layer_says_so_where_there_is_an_affine_in_it(inner: Any) -> None:
    class Choice(L.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = inner

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return self.inner(x) if ops.max(x) > 0 else x

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    kept = [(x.layer, x.reason) for x in kito.reduce(around(Choice(name="block"))).kept]
    reason = "it stays closed: its call() decides by the values of tensors"
    assert kept == ([("block", reason)] if isinstance(inner, L.Rescaling) else [])


def test_a_closed_layer_leaves_no_calls_behind() -> None:
    """Of a layer that is shared, or the calls of it that are left would not be all of them."""
    shared = L.Dense(4, name="shared")

    def call(self: Any, x: Any) -> Any:
        return ops.sin(shared(x)) * float(self.own.numpy())

    def setup(self: Any) -> None:
        self.shared, self.own = shared, self.add_weight(shape=(), name="own")

    x = keras.Input((4,))
    y = Custom(call, setup, name="block")(L.BatchNormalization(name="outer")(shared(x)))
    model = randomize(keras.Model(x, y))
    reduction = kito.reduce(model)
    assert reduction.opened == ()
    assert reduction.batchnorms == (2, 1)
    assert_same(model, reduction.model)

    y = Custom(call, setup, name="block")(L.Dense(4, name="second")(shared(x)))
    reduction = kito.reduce(randomize(keras.Model(x, y)), passes=("collapse_linear",))
    assert reduction.rewrites == (kito.Rewrite("collapse_linear", ("second",), "shared"),)


def test_a_failed_attempt_never_touches_shared_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even while it lasts: the ops get calls only once every body is verified."""
    x = keras.Input((5, 4))
    shared = L.Dense(4, name="shared")
    each = L.TimeDistributed(shared, name="each")
    nested = keras.Model(x, L.BatchNormalization(name="norm")(each(x)), name="nested")

    def call(self: Any, x: Any) -> Any:
        return self.bn(shared(each(nested(x))))

    def setup(self: Any) -> None:
        self.layers = [shared, each, nested]

    model = randomize(keras.Model(x, Custom(call, setup, name="block")(nested(each(shared(x))))))
    seen: list[list[tuple[int, int]]] = []

    def fails(node: Any, *others: Any) -> None:
        ops = {x.op for graph in node.graph.graphs() for x in graph.nodes}
        seen.append(sorted((len(x.nodes), len(x.wrappers)) for x in ops))
        raise StaysClosed("it failed")

    expected = kito.reduce(model)
    assert expected.opened == ("block",)
    assert_same(model, expected.model)
    names = [x.name for x in expected.model.layers]
    assert names.count("nested") == 1
    monkeypatch.setattr("kito.rewrite.inline.body.check_same_outputs", fails)
    closed = sweep.read_inlined(model)
    after = {x.op for graph in closed.graph.graphs() for x in graph.nodes}
    assert seen == [sorted((len(x.nodes), len(x.wrappers)) for x in after)]
    assert [x.closed for x in closed.closed] == ["it failed"]


def test_a_nested_model_that_is_known_is_not_read_twice() -> None:
    """Its calls would count twice, in a second graph that belongs to no model."""
    x = keras.Input((4,))
    nested = keras.Model(x, L.BatchNormalization(name="norm")(L.Dense(4)(x)), name="nested")

    def setup(self: Any) -> None:
        self.nested = nested

    block = Custom(lambda self, x: self.bn(self.nested(x)), setup, name="block")
    inlined = sweep.read_inlined(randomize(keras.Model(x, block(nested(x)))))

    assert inlined.names == ("block",)
    graphs = list(inlined.graph.graphs())
    assert [x.model.name for x in graphs].count("nested") == 1
    for op in {node.op for graph in graphs for node in graph.nodes}:
        assert all(node.graph in graphs and node in node.graph.nodes for node in op.nodes)


# ---- as real code is written ---------------------------------------------------------------------


class Pyramid(L.Layer):
    """Spatial pyramid pooling as in DeepLabV3 (Chen et al. 2017): 5 branches and a projection."""

    def __init__(self, filters: int, rates: tuple[int, ...] = (2, 3, 4), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.rates = filters, rates

    def build(self, shape: Any) -> None:
        self.height, self.width = shape[1:3]
        self.channels = []
        for rate in (1, *self.rates):
            size = 1 if rate == 1 else 3
            conv = L.Conv2D(self.filters, size, padding="same", dilation_rate=rate, use_bias=False)
            self.channels.append(keras.Sequential([conv, L.BatchNormalization(), L.ReLU()]))
        self.pool = keras.Sequential(
            [
                L.GlobalAveragePooling2D(keepdims=True),
                L.Conv2D(self.filters, 1, use_bias=False),
                L.BatchNormalization(),
                L.ReLU(),
            ]
        )
        self.project = keras.Sequential(
            [
                L.Conv2D(self.filters, 1, use_bias=False),
                L.BatchNormalization(),
                L.ReLU(),
                L.Dropout(0.2),
            ]
        )
        for part in (*self.channels, self.pool):
            part.build(shape)
        self.project.build((*shape[:-1], self.filters * (2 + len(self.rates))))

    def call(self, x: Any, training: Any = None) -> Any:
        parts = [channel(x, training=training) for channel in self.channels]
        pooled = self.pool(x, training=training)
        pooled = ops.image.resize(pooled, (self.height, self.width), interpolation="bilinear")
        return self.project(ops.concatenate([*parts, pooled], axis=-1), training=training)


def test_a_pyramid_pooling_over_a_residual_network(tmp_path: Path) -> None:
    x = image = keras.Input((24, 24, 3))
    for _ in range(3):
        y = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same", use_bias=False)(x)))
        y = L.BatchNormalization()(L.Conv2D(8, 3, padding="same", use_bias=False)(y))
        x = L.ReLU()(L.Add()([y, L.BatchNormalization()(L.Conv2D(8, 1)(x))]))
    y = L.UpSampling2D(2, interpolation="bilinear")(
        Pyramid(6, name="pyramid")(L.MaxPooling2D(2)(x))
    )
    low = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 1, use_bias=False)(x)))
    model = randomize(keras.Model(image, L.Conv2D(2, 1)(L.Concatenate()([y, low]))))
    reduction = kito.reduce(model)

    assert reduction.opened == ("pyramid",)
    assert reduction.batchnorms == (16, 0)
    assert not reduction.kept
    assert_same(model, reduction.model)
    reduction.model.save(tmp_path / "model.keras")
    assert_same(model, keras.saving.load_model(tmp_path / "model.keras"))


def test_the_example_of_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "composites.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"keras": keras, "kito": kito, "images": images()}
    exec(code, names)
    reduction = names["reduction"]
    assert reduction.batchnorms == (3, 0)
    assert {"block_0-conv", "block_2-conv", "head"} <= {x.name for x in reduction.model.layers}
    assert_same_on(names["model"], reduction.model, images())


# ---- layers that are hard to run or to trace -----------------------------------------------------


def test_levels_of_open_sizes_that_depend_on_each_other() -> None:
    """As in a feature pyramid: the levels of two sizes, each drawn by itself, would not fit."""

    class Merge(L.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.conv, self.bn = L.Conv2D(4, 1), L.BatchNormalization()
            self.up, self.add = L.UpSampling2D(2), L.Add()

        def build(self, shapes: Any) -> None:
            self.conv.build(shapes["low"])
            self.bn.build((*shapes["low"][:-1], 4))
            self.built = True

        def call(self, x: Any) -> Any:
            return self.add([x["high"], self.up(self.bn(self.conv(x["low"])))])

        def compute_output_shape(self, shapes: Any) -> Any:
            return shapes["high"]

    image = keras.Input((None, None, 4))
    high = L.Conv2D(4, 3, padding="same")(image)
    low = L.Conv2D(4, 3, strides=2, padding="same")(high)
    model = randomize(keras.Model(image, Merge(name="merge")({"high": high, "low": low})))
    reduction = kito.reduce(model)
    assert reduction.opened == ("merge",)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


class Stubborn(L.Layer):
    """Its rule for the shape of its output does not take what ``call`` takes."""

    def call(self, x: Any, training: Any = None) -> Any:
        return x * 2.0

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


def test_a_layer_whose_own_shape_rule_fails_when_it_is_traced(tmp_path: Path) -> None:
    def call(self: Any, x: Any) -> Any:
        return self.bn(self.dense(self.inner(x, training=False)))

    def setup(self: Any) -> None:
        self.inner = Stubborn(name="inner")

    model = around(Custom(call, setup, name="block"))
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    assert "block-inner" in [x.name for x in reduction.model.layers]
    assert_same(model, reduction.model)
    reduction.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", {"Stubborn": Stubborn})
    assert_same(model, loaded)


def test_a_sequential_that_was_built_for_another_size() -> None:
    """Keras refuses it only where it is called with symbolic tensors."""

    def call(self: Any, x: Any) -> Any:
        return self.bn(self.chain(x))

    def setup(self: Any) -> None:
        self.chain = keras.Sequential([L.Conv1D(4, 1, name="conv"), L.BatchNormalization()])
        self.chain.build((None, 9, 4))

    model = around(Custom(call, setup, name="block"))
    reduction = kito.reduce(model)
    assert reduction.opened == ("block",)
    assert reduction.batchnorms == (2, 0)
    assert_same(model, reduction.model)
