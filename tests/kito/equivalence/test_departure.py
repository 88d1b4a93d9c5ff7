"""Which layer is named where two models differ, and how much is held to find it."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from kito_models import feed
from random_graphs import RELAXED, Plan, build, plans

import kito
from kito.equivalence import stepwise
from kito.equivalence.departure import Departure, find_departure
from kito.equivalence.difference import Difference
from kito.equivalence.float64 import copy_model
from kito.equivalence.matching import Calls, match_layers
from kito.graph.functional import as_functional
from kito.graph.inference import without_gradients
from kito.graph.interpret import Interpreter
from kito.graph.keras_internals import all_layers, input_names
from kito.graph.read import functional_core, keras_calls, read_graph
from kito.runtime.run import to_numpy

L = keras.layers
RTOL = 1e-4


def first(original: Any, reduced: Any, inputs: Any = None, sample: int = 0) -> str | None:
    found = located(original, reduced, inputs, sample)
    return None if found is None else found.layer


def located(original: Any, reduced: Any, inputs: Any = None, sample: int = 0) -> Departure | None:
    arrays = feed(original) if inputs is None else inputs
    fed = dict(zip(input_names(original), arrays, strict=True))
    return find_departure(original, reduced, fed, sample, RTOL)


def spoil(layer: Any, by: float = 1.5) -> None:
    """Other weights, and so other outputs."""
    layer.set_weights([by * w + 0.1 for w in layer.get_weights()])


def everything(model: Any, batch: list[Any]) -> list[tuple[str, np.ndarray]]:
    """(layer, values) of each call, all of them held by a model of Keras."""
    calls = keras_calls(functional_core(model))
    pairs = [(call.operation.name, x) for call in calls for x in call.outputs]
    inside = keras.Model(model.inputs, [tensor for _, tensor in pairs])
    with without_gradients():
        # Without training, Keras takes the default of a layer on the way: True after a Resizing.
        result = inside(batch, training=False)
    flat = keras.tree.flatten(result)  # of one tensor, Keras makes no list
    return [(n, to_numpy(x)) for (n, _), x in zip(pairs, flat, strict=True)]


def exhaustive(original: Any, reduced: Any, batch: list[Any]) -> str | None:
    """The definition, with every intermediate tensor of both models at hand.

    Nested models are one call.
    """
    nodes = list(read_graph(reduced).nodes)
    got, by_name = everything(reduced, batch), {}
    for name, values in everything(original, batch):
        by_name.setdefault(name, []).append(values)
    names, calls = {name for name, _ in got}, Counter[str]()
    ends: dict[str, set[str]] = {}
    for node in read_graph(original).nodes:
        tensor, last = node.outputs[0], node.op.name
        while len(tensor.users) == 1 and tensor.users[0].op.name not in names:
            if isinstance(tensor.users[0].op.layer, L.ZeroPadding2D):  # it went down
                ends.setdefault(node.op.name, set()).add(last)
            last, tensor = tensor.users[0].op.name, tensor.users[0].outputs[0]
        ends.setdefault(node.op.name, set()).add(last)
        calls[node.op.name] += 1
    fine: dict[Any, bool] = {}
    departed = []
    for node, (name, values) in reversed(list(zip(nodes, got, strict=True))):
        copied = name.rpartition("_")[0]
        key = copied if name not in ends and calls[copied] > 1 else name
        others = [x for end in ends.get(key, ()) for x in by_name.get(end, ())]
        same = [
            x
            for x in others
            if x.shape == values.shape and np.abs(values - x).max() <= RTOL * np.abs(x).max()
        ]
        behind = any(fine[user] for x in node.outputs for user in x.users)
        fine[node] = behind or any(x.min() < x.max() for x in same)
        if others and not same and not behind:
            departed.append(name)
    return departed[-1] if departed else None


# Always the same graphs: in about one of 200, the two ways name different layers. The seed is
# explicit, as that of ``derandomize`` changes with the source of the test.
@seed(0)
@settings(max_examples=12, database=None, phases=[Phase.generate], **RELAXED)
@given(plans(), st.integers(0, 99), st.sampled_from([0, 3000, 2**28]))
def test_it_is_the_layer_that_a_look_at_everything_finds(plan: Plan, which: int, held: int) -> None:
    original = copy_model(build(plan))  # in which layers that hold layers are inlined
    reduced = kito.reduce(original).model
    weighty = [x for x in all_layers(reduced) if x.weights and not isinstance(x, keras.Model)]
    if weighty:
        spoil(weighty[which % len(weighty)])
    batch = [x[:1] for x in feed(original)]
    with mock.patch.object(stepwise, "_HELD_BYTES", held):
        found = first(original, reduced, batch)
    expected = exhaustive(original, reduced, batch)
    assert (found or "").partition("/")[0] == (expected or "")


def branching() -> Any:
    """Two branches that meet, and two outputs."""
    image = keras.Input((8,), name="image")
    x = L.Dense(8, name="stem")(image)
    a = L.Dense(8, activation="tanh", name="left_1")(x)
    a = L.Dense(8, name="left_2")(a)
    b = L.Dense(8, name="right_1")(x)
    b = L.Dense(8, name="right_2")(b)
    y = L.Add(name="sum")([a, b])
    return keras.Model(image, [L.Dense(3, name="head")(y), L.Dense(2, name="other")(b)])


@pytest.mark.parametrize("layer", ["stem", "left_1", "left_2", "right_1", "right_2", "other"])
def test_on_branches_it_is_the_one_that_is_wrong(layer: str) -> None:
    original = branching()
    wrong = copy_model(original)
    spoil(wrong.get_layer(layer))
    assert first(original, wrong) == layer
    assert first(original, copy_model(original)) is None


def nested() -> Any:
    """A nested model that is called twice, as is one of its layers."""
    inner = keras.Input((8,), name="inner")
    again = L.Dense(8, activation="tanh", name="again")
    y = L.Dense(8, name="deep")(again(again(inner)))
    block = keras.Model(inner, L.Add(name="sum")([y, inner]), name="block")
    image = keras.Input((8,), name="image")
    x = block(L.Dense(8, name="between")(block(image)))
    return keras.Model(image, L.Dense(3, name="head")(x))


@pytest.mark.parametrize("layer", ["block/again", "block/deep", "between", "head"])
def test_in_a_nested_model_the_layer_is_named_with_it(layer: str) -> None:
    original = nested()
    wrong = copy_model(original)
    owner: Any = wrong
    for part in layer.split("/"):
        owner = owner.get_layer(part)
    spoil(owner)
    assert first(original, wrong) == layer


def test_a_layer_called_twice_is_wrong_at_its_first_call() -> None:
    image = keras.Input((8,), name="image")
    again = L.Dense(8, name="again")
    x = again(L.Dense(8, name="between")(again(image)))
    original = keras.Model(image, L.Dense(3, name="head")(x))
    wrong = copy_model(original)
    spoil(wrong.get_layer("again"))
    assert first(original, wrong) == "again"
    wrong = copy_model(original)
    spoil(wrong.get_layer("between"))
    assert first(original, wrong) == "between"


def test_a_padding_that_was_absorbed_leaves_the_layer_before_it_as_it_was() -> None:
    image = keras.Input((6, 6, 3), name="image")
    x = L.Activation("tanh", name="tanh")(L.Conv2D(4, 3, name="conv")(image))
    x = L.Conv2D(4, 3, name="next")(L.ZeroPadding2D(1, name="pad")(x))
    original = keras.Model(image, x)
    wrong = kito.reduce(original).model
    assert "pad" not in [layer.name for layer in wrong.layers]
    spoil(wrong.get_layer("next"))
    assert first(original, wrong) == "next"


class Block(L.Layer):  # type: ignore[misc]
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.norm = L.Dense(8, name="first"), L.BatchNormalization(name="norm")
        self.last = L.Dense(8, name="last")

    def call(self, x: Any) -> Any:
        return self.last(keras.ops.tanh(self.norm(self.first(x))))


class Whole(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="whole")
        self.blocks = [Block(name="a"), Block(name="b")]
        self.head = L.Dense(3, name="head")

    def call(self, x: Any) -> Any:
        return self.head(self.blocks[1](self.blocks[0](x)))


@pytest.mark.parametrize("layer", ["a-last", "b-first", "head"])
@pytest.mark.parametrize("subclassed", [False, True])
def test_in_an_opened_layer_the_layer_inside_is_named(layer: str, subclassed: bool) -> None:
    original: Any = Whole()
    original(np.zeros((1, 8), "float32"))
    if not subclassed:
        image = keras.Input((8,), name="image")
        x = original.blocks[1](original.blocks[0](image))
        original = keras.Model(image, original.head(x))
    reduced = kito.reduce(original, passes=("fold_affine",)).model
    assert first(as_functional(original), as_functional(copy_model(original))) is None
    spoil(reduced.get_layer(layer))
    assert kito.compare(original, reduced).first_departure == layer


def test_where_an_affine_moved_further_layers_between_may_differ() -> None:
    image = keras.Input((8,), name="image")
    x = L.Dense(8, name="first")(image)
    x = L.ReLU(name="relu")(x)
    original = keras.Model(image, L.Dense(3, name="last")(x))
    moved = copy_model(original)
    moved.get_layer("first").set_weights([2 * w for w in original.get_layer("first").get_weights()])
    kernel, bias = original.get_layer("last").get_weights()
    moved.get_layer("last").set_weights([kernel / 2, bias])
    assert first(original, moved) is None
    moved.get_layer("last").set_weights([kernel / 2, bias + 1])
    assert first(original, moved) == "first"  # nothing behind it agrees


def test_what_agrees_because_it_is_constant_vouches_for_nothing() -> None:
    image = keras.Input((8,), name="image")
    x = L.Dense(8, name="wrong")(image)
    dead = L.Dense(4, kernel_initializer="zeros", name="dead")(x)
    labels = keras.ops.cast(keras.ops.argmax(keras.ops.concatenate([dead, dead]), -1), "int32")
    original = keras.Model(image, [L.Dense(3, name="head")(x), dead, labels])
    wrong = copy_model(original)
    spoil(wrong.get_layer("wrong"))
    assert first(original, wrong) == "wrong"


def test_inputs_of_other_names_and_the_sample_that_is_asked_for() -> None:
    def named(*names: str) -> Any:
        a, b = (keras.Input((8,), name=name) for name in names)
        x = L.Dense(8, name="left")(a) + L.Dense(8, name="right")(b)
        rare = keras.ops.where(a[:, :1] > 5, 1.0, 0.0)
        return keras.Model([a, b], L.Dense(3, name="head")(x * (1 + wrong * rare)))

    wrong = 0.0
    original = named("a", "b")
    wrong = 0.5
    reduced = named("one", "two")
    reduced.set_weights(original.get_weights())
    arrays = feed(original, batch=6)
    arrays[0][4, 0] = 10
    found = located(original, reduced, arrays, sample=4)
    assert found is not None
    assert (found.layer, found.sample) == ("head", 4)
    assert located(original, reduced, arrays, sample=3) is None
    comparison = kito.compare(original, reduced, arrays)
    assert comparison.departure is not None
    assert (comparison.departure.layer, comparison.departure.sample) == ("head", 4)
    assert "in sample 4, it differs by" in comparison.message()


def test_its_difference_and_scale_are_those_of_the_layer() -> None:
    original = branching()
    wrong = copy_model(original)
    kernel, bias = wrong.get_layer("left_2").get_weights()
    wrong.get_layer("left_2").set_weights([kernel, bias + 0.25])
    batch = feed(original)
    found = located(original, wrong, batch, sample=1)
    assert found is not None
    inside = keras.Model(original.inputs, original.get_layer("left_2").output)
    scale = np.abs(to_numpy(inside([batch[0][1:2]]))).max()
    assert found.max_abs == pytest.approx(0.25, rel=1e-5)
    assert found.scale == pytest.approx(scale, rel=1e-5)


def test_nan_is_traced_to_where_it_comes_from() -> None:
    original = branching()
    wrong = copy_model(original)
    kernel, bias = wrong.get_layer("right_1").get_weights()
    wrong.get_layer("right_1").set_weights([kernel, bias * np.nan])
    found = kito.compare(original, wrong)
    assert found.first_departure == "right_1"
    assert found.departure is not None
    assert np.isnan(found.departure.max_abs)
    assert "it is NaN or infinite" in found.message()
    assert kito.compare(wrong, wrong).first_departure is None


def test_the_first_sample_that_is_nan_is_looked_into() -> None:
    difference = Difference()
    values = np.arange(6.0).reshape(3, 2)
    difference.add(values, values + np.array([[1], [2], [0]]))
    assert difference.worst_sample == 1
    difference.add(values, np.where(values > 3, np.nan, values))
    difference.add(values, values + 9)
    assert difference.worst_sample == 3 + 2


def test_an_operation_that_opening_made_is_known_by_no_name() -> None:
    image = keras.Input((4,), name="image")
    x = L.Activation("tanh", name="tanh")(L.Dense(4, name="a")(image))
    model = keras.Model(image, L.Dense(4, name="b")(x))
    original, reduced = read_graph(model), Calls(read_graph(model), frozenset())
    made = frozenset(node.op for node in original.nodes if node.op.name == "tanh")
    found = match_layers(Calls(original, made), reduced)
    # It is unknown whether the reduced model has it under another name.
    assert found == {"image": {"image"}, "a": {"a", "tanh"}, "b": {"b"}}


def test_models_that_cannot_be_walked_through_have_no_departure() -> None:
    class Picky(L.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            if len(x.shape) and x.shape[0] == 1:
                raise ValueError("not one alone")
            return x

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    image = keras.Input((8,), name="image")
    original = keras.Model(image, L.Dense(3, name="head")(Picky()(image)))
    other = keras.Model(image, L.Dense(3, name="head")(image))
    found = kito.compare(original, other)
    assert not found.passed
    assert found.departure is None


class Watched(L.Layer):  # type: ignore[misc]
    """Knows how many results of such layers are alive when it is called, and how often it was."""

    alive: ClassVar[weakref.WeakValueDictionary[int, Any]] = weakref.WeakValueDictionary()
    most = times = 0

    def call(self, x: Any) -> Any:
        y = x + 1.0
        if not isinstance(y, keras.KerasTensor):
            Watched.times += 1
            Watched.alive[Watched.times] = y
            gc.collect()
            Watched.most = max(Watched.most, len(Watched.alive))
        return y


def watched(depth: int) -> Any:
    x = image = keras.Input((8,), name="image")
    for i in range(depth):
        x = Watched(name=f"layer_{i}")(x)
    return keras.Model(image, L.Dense(3, name="head")(x))


@pytest.fixture
def watch() -> Iterator[type[Watched]]:
    Watched.alive.clear()
    Watched.most = Watched.times = 0
    gc.freeze()  # what is there already need not be looked through at each call
    yield Watched
    gc.unfreeze()


def test_no_more_is_alive_than_the_calls_to_come_need(watch: type[Watched]) -> None:
    original = watched(40)
    wrong = copy_model(original)
    spoil(wrong.get_layer("head"))
    Watched.times = 0
    assert first(original, wrong) == "head"
    assert watch.times == 80  # each model was run once
    assert watch.most <= 8
    everything(original, [feed(original)[0]])
    assert watch.most >= 40  # what Keras' own run holds


def crossed(order: int) -> Any:
    """Two chains, one of which is run before the other."""
    image = keras.Input((64,), name="image")
    ends = []
    for name in ("ab", "ba")[order]:
        x = image
        for i in range(6):
            x = L.Dense(64, activation="tanh", name=f"{name}_{i}")(x)
        ends.append(x)
    for _ in range(8):  # the deeper one comes first in Keras' order
        ends[0] = L.Identity()(ends[0])
    return keras.Model(image, L.Dense(3, name="head")(L.Add(name="sum")(ends[:: 1 - 2 * order])))


@pytest.mark.parametrize("room, least, most", [(2**28, 1, 1), (3 * 256, 2, 6)])
def test_what_there_is_no_room_for_waits_for_another_run(
    room: int, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, wrong = crossed(0), crossed(1)
    for layer in wrong.layers:
        layer.set_weights(original.get_layer(layer.name).get_weights() if layer.weights else [])
    spoil(wrong.get_layer("a_4"))
    runs, held = [], [0]

    class Watching(stepwise._Waiting):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            runs.append(self)

        def _make_room(self) -> None:
            super()._make_room()
            held.append(sum(x.nbytes for values in self.held.values() for x in values))

    monkeypatch.setattr(stepwise, "_Waiting", Watching)
    monkeypatch.setattr(stepwise, "_HELD_BYTES", room)
    assert first(original, wrong) == "a_4"
    assert least <= len(runs) <= most
    assert max(held) <= room
    assert max(held) > 256  # one tensor


@settings(max_examples=10, **RELAXED)
@given(plans())
def test_a_walk_computes_what_the_model_does(plan: Plan) -> None:
    model = copy_model(build(plan))
    batch = feed(model)
    made = {x.number: x for x in Interpreter(read_graph(model)).walk(batch)}
    pairs = everything(model, batch)
    walked = [x for x in made.values() if "/" not in x.layer]
    by_name: dict[str, list[np.ndarray]] = {}
    for x in walked:
        by_name.setdefault(x.layer, []).append(to_numpy(x.value))
    for name, values in pairs:
        if name in by_name:  # nested models are walked through
            assert any(np.array_equal(values, x, equal_nan=True) for x in by_name[name])
    assert all(parent < x.number for x in made.values() for parent in x.parents)
