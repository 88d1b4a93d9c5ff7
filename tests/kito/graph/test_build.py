"""What a rebuilt model keeps, and that the original is not changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from kito_models import assert_same, feed, outputs, randomize

import kito
from kito.graph.build import build_model
from kito.graph.keras_internals import all_layers, output_names
from kito.graph.keras_patches import kept_float64
from kito.graph.read import read_graph
from kito.runtime import backends
from kito.runtime.run import to_numpy

L = keras.layers


def conv_bn(x: Any, name: str = "conv", filters: int = 4) -> Any:
    x = L.Conv2D(filters, 3, padding="same", name=name)(x)
    return L.BatchNormalization(name=f"{name}_bn")(x)


# ---- structure --------------------------------------------------------------------------------


def test_names_order_and_nesting_of_inputs_and_outputs() -> None:
    a, b = keras.Input((6, 6, 3), name="a"), keras.Input((6, 6, 3), name="b")
    x, y = conv_bn(a, "first"), L.ReLU(name="second")(conv_bn(b, "conv"))
    shapes: list[tuple[Any, Any]] = [
        ([a, b], [x, y]),
        ([b, a], {"y": y, "x": x}),
        ({"a": a, "b": b}, (y, [x, x])),
        ({"b": b, "a": a}, {"deep": {"x": x}, "more": [y]}),
    ]
    for inputs, results in shapes:
        model = randomize(keras.Model(inputs, results, name="many"))
        reduced = kito.reduce(model).model
        assert reduced.name == "many"
        assert [x.name for x in reduced.inputs] == [x.name for x in model.inputs]
        assert output_names(reduced) == output_names(model)
        keras.tree.assert_same_structure(reduced.input, model.input)
        keras.tree.assert_same_structure(reduced.output, model.output)
        assert not any(isinstance(x, L.BatchNormalization) for x in reduced.layers)
        assert_same(model, reduced)


def test_an_unused_input_and_an_input_that_is_an_output() -> None:
    a, b = keras.Input((6, 6, 3), name="a"), keras.Input((2,), name="b")
    model = randomize(keras.Model([a, b], [L.ReLU()(conv_bn(a)), b]))
    reduced = kito.reduce(model).model
    assert len(reduced.inputs) == 2
    assert_same(model, reduced)


def test_a_sequential_stays_one() -> None:
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()], name="seq"
    )
    reduced = kito.reduce(randomize(model)).model
    assert isinstance(reduced, keras.Sequential)
    assert reduced.name == "seq"
    assert [type(x).__name__ for x in reduced.layers] == ["Conv2D", "ReLU"]
    assert_same(model, reduced)


def test_a_model_cut_out_of_another() -> None:
    image = keras.Input((6, 6, 3))
    middle = L.ReLU()(conv_bn(image, "one"))
    whole = keras.Model(image, L.ReLU(name="end")(conv_bn(middle, "two")))
    for model in (keras.Model(image, middle), keras.Model(middle, whole.output)):
        reduced = kito.reduce(randomize(model)).model
        assert not any(isinstance(x, L.BatchNormalization) for x in reduced.layers)
        assert_same(model, reduced)


def test_a_functional_model_with_its_own_train_step() -> None:
    class Trained(keras.Model):
        def train_step(self, data: Any) -> Any:
            return {}

    image = keras.Input((6, 6, 3))
    model = randomize(Trained(image, L.ReLU()(conv_bn(image)), name="trained"))
    reduced = kito.reduce(model).model
    assert "Trained" not in type(reduced).__name__
    assert_same(model, reduced)


# ---- layers -----------------------------------------------------------------------------------


@pytest.mark.backends("tensorflow", "torch")  # JAX has float64 in a scope only
def test_dtype_policies_and_trainable_flags() -> None:
    image = keras.Input((6, 6, 3))
    x = L.Conv2D(4, 3, name="half", dtype="mixed_float16")(image)
    x = L.Conv2D(4, 1, name="wide", dtype="float64")(x)
    inner = keras.Sequential(
        [keras.Input((4, 4, 4)), L.Dense(3, name="deep"), L.Dense(2, name="free")], name="inner"
    )
    model = keras.Model(image, L.Conv2D(2, 1, name="last")(inner(x)))
    model.get_layer("half").trainable = False
    inner.get_layer("deep").trainable = False
    for frozen in (None, inner, model):
        if frozen is not None:
            frozen.trainable = False
        reduced = kito.reduce(model, passes=("drop_identity",)).model
        for old, new in zip(all_layers(model), all_layers(reduced), strict=True):
            assert (old.name, old.dtype_policy.name) == (new.name, new.dtype_policy.name)
            assert old.trainable is new.trainable
        assert len(reduced.trainable_variables) == len(model.trainable_variables)
        assert reduced.trainable is model.trainable


def test_call_arguments_masks_and_operations() -> None:
    ids, image = keras.Input((5,), dtype="int32", name="ids"), keras.Input((5, 4), name="x")
    x = L.Embedding(5, 4, mask_zero=True)(ids)
    x = L.Bidirectional(L.LSTM(2, return_sequences=True))(x, initial_state=None)
    attend = L.MultiHeadAttention(2, 3)
    x = attend(x, value=image, attention_mask=ops.ones((5, 5), "bool"), use_causal_mask=True)
    x = L.LayerNormalization()(x * 0.5 + 1.0 - image[:, :, :4] / np.float32(3))
    y = ops.concatenate([x, ops.transpose(x, (0, 1, 2)), ops.stop_gradient(x)], axis=-1)
    y = L.RNN([L.GRUCell(3), L.LSTMCell(2)])(y)
    model = randomize(keras.Model([ids, image], L.Lambda(lambda t: t * 2)(y)))
    assert_same(model, kito.reduce(model).model)


@pytest.mark.backends("tensorflow")
def test_adapted_preprocessing() -> None:
    number, text = keras.Input((3,)), keras.Input((1,), dtype="string")
    normal = L.Normalization()
    normal.adapt(np.random.default_rng(0).normal(3, 2, (50, 3)).astype("float32"))
    lookup = L.StringLookup(output_mode="one_hot")
    lookup.adapt(np.array([["a"], ["b"], ["c"]]))
    model = keras.Model([number, text], L.Concatenate()([normal(number), lookup(text)]))
    reduced = kito.reduce(model).model
    words = ops.convert_to_tensor(np.array([["c"], ["a"], ["?"]]))
    values = [ops.ones((3, 3)), words]
    assert np.array_equal(to_numpy(model(values)), to_numpy(reduced(values)))


class Scaled(keras.layers.Layer):
    """Not registered with Keras, with sublayers, and an argument that JSON cannot hold."""

    def __init__(self, factor: float, inner: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.inner = inner or L.Dense(3)

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def test_custom_objects_that_are_not_registered() -> None:
    class Ones(keras.initializers.Initializer):
        def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
            return ops.ones(shape, dtype)

    class Shrink(keras.regularizers.Regularizer):
        def __call__(self, x: Any) -> Any:
            return ops.sum(x * x)

    class Cap(keras.constraints.Constraint):
        def __call__(self, w: Any) -> Any:
            return ops.clip(w, -1, 1)

    image = keras.Input((6, 6, 3))
    custom = {
        "kernel_initializer": Ones(),
        "kernel_regularizer": Shrink(),
        "kernel_constraint": Cap(),
        "bias_initializer": lambda shape, dtype=None: ops.zeros(shape, dtype),
    }
    x = L.BatchNormalization()(L.Conv2D(4, 3, name="conv", **custom)(image))
    x = L.Dense(3, activation=lambda t: t * ops.sigmoid(t))(x)
    model = randomize(keras.Model(image, Scaled(0.3)(x)))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    conv = reduction.model.get_layer("conv")
    assert isinstance(conv.kernel_regularizer, Shrink)
    assert isinstance(conv.kernel_constraint, Cap)
    assert_same(model, reduction.model)


# ---- the original -----------------------------------------------------------------------------


def test_the_original_is_unchanged_and_shares_nothing() -> None:
    image = keras.Input((6, 6, 3))
    inner = keras.Sequential([keras.Input((6, 6, 4)), L.Conv2D(4, 1), L.BatchNormalization()])
    model = randomize(keras.Model(image, L.ReLU()(inner(conv_bn(image)) * 2.0)))
    model.compile(loss="mse", metrics=["mae"])
    weights = [w.copy() for w in model.get_weights()]
    config, arrays = model.get_config(), feed(model)
    before = outputs(model, arrays)
    operations = [len(x._inbound_nodes) for x in model.operations]

    reduced = kito.reduce(model).model
    assert model.get_config() == config
    assert [len(x._inbound_nodes) for x in model.operations] == operations
    ours, theirs = ({id(x) for x in [*all_layers(m), *m.operations]} for m in (model, reduced))
    assert not ours & theirs
    for variable in reduced.weights:
        variable.assign(variable * 0 + 7)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert np.array_equal(before[0], outputs(model, arrays)[0])
    second = kito.reduce(model).model
    after = outputs(second, arrays)
    for variable in model.weights:
        variable.assign_add(np.ones(variable.shape))  # in place
    assert np.array_equal(after[0], outputs(second, arrays)[0])


def test_evaluate_works_and_the_originals_metrics_stay_its_own() -> None:
    def my_loss(a: Any, b: Any) -> Any:
        return ops.mean(ops.abs(a - b))

    image = keras.Input((6, 6, 3))
    x = conv_bn(image, "a")
    model = randomize(keras.Model(image, {"one": L.ReLU(name="one")(x)}))
    metrics = {"one": [keras.metrics.MeanSquaredError(name="error")]}
    model.compile(optimizer="adam", loss={"one": my_loss}, metrics=metrics)
    data = feed(model, batch=8)[0], {"one": np.ones((8, 6, 6, 4), "float32")}
    expected = model.evaluate(*data, verbose=0, return_dict=True)
    reduced = kito.reduce(model).model
    actual = reduced.evaluate(*data, verbose=0, return_dict=True)
    assert actual == pytest.approx(expected, rel=1e-4)
    assert float(metrics["one"][0].result()) == pytest.approx(expected["error"])
    assert not reduced.optimizer.variables[2:]  # none of Adam's


def test_a_saved_model_needs_no_kito(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 3))
    model = randomize(keras.Model(image, L.ReLU()(conv_bn(image))))
    model.compile(loss="mse")
    reduced = kito.reduce(model).model
    arrays = feed(model)
    reduced.save(tmp_path / "reduced.keras")
    np.savez(tmp_path / "data.npz", x=arrays[0], y=outputs(reduced, arrays)[0])
    code = (
        "import sys; sys.modules['kito'] = None\n"
        "import keras, numpy as np\n"
        "data = np.load('data.npz'); model = keras.models.load_model('reduced.keras')\n"
        "found = keras.ops.convert_to_numpy(model(data['x']))\n"
        "assert np.array_equal(found, data['y'].astype('float32'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


# ---- float64 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_copy_in_float64_computes_in_float64(policy: str) -> None:
    pixels = keras.Input((6, 6, 3), dtype="uint8", name="pixels")
    x = L.Rescaling(1 / 256, dtype=policy)(pixels)
    x = L.Conv2D(4, 3, name="conv", dtype=policy)(x)
    inner = keras.Sequential([keras.Input((4, 4, 4)), L.Dense(5, name="dense", dtype=policy)])
    x = ops.cast(inner(x), "float32") + 0.125
    model = randomize(keras.Model(pixels, L.Dense(2, name="end", dtype="float32")(x)))
    fed = np.random.default_rng(0).integers(0, 255, (2, 6, 6, 3)).astype("uint8")
    with backends.current().float64("cpu"), kept_float64():
        clone, _ = build_model(read_graph(model), dtype="float64")
        result = clone(fed)
    assert keras.backend.standardize_dtype(result.dtype) == "float64"
    leaves = [x for x in all_layers(clone) if x.weights and not isinstance(x, keras.Model)]
    assert all(x.compute_dtype == x.variable_dtype == "float64" for x in leaves)

    def weights(name: str) -> list[np.ndarray]:
        [layer] = [x for x in all_layers(model) if x.name == name]
        return [np.asarray(w, np.float64) for w in layer.get_weights()]

    kernel, bias = weights("conv")
    y = np.zeros((2, 4, 4, 4))
    for i in range(3):
        for j in range(3):
            y += (fed[:, i : i + 4, j : j + 4] / 256.0) @ kernel[i, j]
    for name in ("dense", "end"):
        y = y + bias + (0.125 if name == "end" else 0)
        kernel, bias = weights(name)
        y = y @ kernel
    assert np.allclose(to_numpy(result), y + bias, rtol=1e-12, atol=1e-12)
