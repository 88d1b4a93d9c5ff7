"""Affines that are hoisted or sunk, on inputs and in dtypes that are easily got wrong."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, feed, randomize

import kito

L = keras.layers


def block(x: Any, dtype: str | None = None) -> Any:
    """Affines to hoist and to sink, some past others, padding, and branches to merge."""
    x = L.Conv2D(4, 3, activation="relu", dtype=dtype)(x)
    x = L.BatchNormalization(name="bn", dtype=dtype)(x)
    x = L.Conv2D(6, 3, dtype=dtype)(L.AveragePooling2D(2, dtype=dtype)(x))
    x = L.Concatenate(dtype=dtype)([x, L.BatchNormalization(dtype=dtype)(x)])
    x = L.Add(dtype=dtype)([L.Conv2D(12, k, padding="same", dtype=dtype)(x) for k in (3, 1)] + [x])
    x = L.Conv2D(4, 3, dtype=dtype)(L.ZeroPadding2D(1, dtype=dtype)(x))
    return L.Softmax(dtype="float32")(x)


def test_mixed_precision() -> None:
    image = keras.Input((12, 12, 3))
    model = randomize(keras.Model(image, block(image, "mixed_float16")))
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name == "kernel":
                weight.assign(weight * 0.3)
    reduction = kito.reduce(model)
    assert reduction.batchnorms[1] < reduction.batchnorms[0]
    assert {x.compute_dtype for x in reduction.model.layers[1:-1]} == {"float16"}
    assert_same(model, reduction.model, rtol=2e-2)


def test_bfloat16() -> None:
    image = keras.Input((12, 12, 3))
    model = randomize(keras.Model(image, block(image, "bfloat16")))
    reduction = kito.reduce(model)
    assert reduction.batchnorms[1] < reduction.batchnorms[0]
    kernels = [w for x in reduction.model.layers for w in x.weights if w.name == "kernel"]
    assert {keras.backend.standardize_dtype(w.dtype) for w in kernels} == {"bfloat16"}


@pytest.mark.parametrize("gamma, reason", [(1e6, "float16 cannot"), (1e-9, "too small for")])
def test_float16_must_hold_what_is_sunk(gamma: float, reason: str) -> None:
    image = keras.Input((8, 8, 4), dtype="float16")
    x = L.BatchNormalization(name="bn", dtype="mixed_float16")(image)
    model = randomize(keras.Model(image, L.Dense(3, dtype="mixed_float16")(x)))
    _, *others = model.get_layer("bn").get_weights()
    model.get_layer("bn").set_weights([np.full(4, gamma, "float32"), *others])
    [kept] = kito.reduce(model).kept
    assert reason in kept.reason


def test_a_cast_between() -> None:
    image = keras.Input((8, 8, 4))
    x = L.BatchNormalization(dtype="float32")(image)
    model = randomize(keras.Model(image, L.Dense(3, dtype="mixed_float16", name="dense")(x)))
    [kept] = kito.reduce(model).kept
    assert "'dense' computes in float16" in kept.reason


def test_a_cast_on_the_way() -> None:
    image = keras.Input((8, 8, 4))
    x = L.Activation("tanh")(image)
    x = L.AveragePooling2D(2, dtype="float16", name="pool")(L.BatchNormalization()(x))
    model = randomize(keras.Model(image, L.Dense(3, dtype="float16")(x)))
    [kept] = kito.reduce(model).kept
    assert "'pool' returns float16, and takes other dtypes" in kept.reason


def test_an_empty_batch() -> None:
    # Not a convolution: with oneDNN, TensorFlow's own returns a wrong shape for an empty batch.
    x = image = keras.Input((12, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Dense(4)(x)))
    model = randomize(keras.Model(image, L.Dense(2)(L.GlobalAveragePooling1D()(x))))
    reduced = kito.reduce(model).model
    empty = np.zeros((0, 12, 3), "float32")
    assert tuple(reduced(empty).shape) == tuple(model(empty).shape) == (0, 2)


@pytest.mark.parametrize("size", [13, 14])
def test_open_sizes(size: int) -> None:
    image = keras.Input((None, None, 3))
    model = randomize(keras.Model(image, block(image)))
    reduction = kito.reduce(model)
    assert {x.pass_name for x in reduction.rewrites} >= {"fold_affine", "absorb_padding"}
    assert_same(model, reduction.model, size=size)


def test_huge_and_tiny_variances_sunk() -> None:
    image = keras.Input((8, 8, 4))
    x = L.BatchNormalization(name="bn", epsilon=1e-12)(L.Activation("tanh")(image))
    model = randomize(keras.Model(image, L.Conv2D(6, 3)(x)))
    gamma, beta, mean, _ = model.get_layer("bn").get_weights()
    variance = np.array([1e-9, 1e-4, 1e4, 1e8], "float32")
    model.get_layer("bn").set_weights([gamma + 0.1, beta, mean, variance])
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert not reduction.kept
    assert_same(model, reduction.model)


def test_booleans_and_integers_beside() -> None:
    image, ids = keras.Input((8, 8, 4)), keras.Input((8, 8), dtype="int32")
    flags = L.Embedding(5, 4)(ids) * L.BatchNormalization()(L.Activation("tanh")(image))
    chosen = keras.ops.where(image > 0.0, flags, 0.5)
    model = randomize(keras.Model([image, ids], L.Dense(3)(chosen * 2.0)))
    reduction = kito.reduce(model)
    assert "Greater" in [type(x).__name__ for x in reduction.model.operations]
    assert_same(model, reduction.model)


def test_several_outputs_of_one_operation() -> None:
    image = keras.Input((8, 8, 4))
    parts = keras.ops.split(L.BatchNormalization()(L.Conv2D(4, 1)(image)), 2, axis=-1)
    model = randomize(keras.Model(image, [L.Dense(2)(x * 2.0) for x in parts]))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


# ---- channels first: TensorFlow runs it on a CPU only where XLA compiles it ----------------------

FIRST: dict[str, Any] = {"data_format": "channels_first"}


def assert_same_compiled(model: Any, reduced: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        assert_same(model, reduced)
        return
    import tensorflow as tf

    arrays = feed(model)
    results = [
        np.asarray(tf.function(lambda x, m=m: m(x, training=False), jit_compile=True)(arrays[0]))
        for m in (model, reduced)
    ]
    assert np.abs(results[0] - results[1]).max() <= 2e-5 * np.abs(results[0]).max()


@pytest.mark.parametrize(
    "layers",
    [
        [L.Conv2D(5, 3, **FIRST), L.BatchNormalization(axis=1)],
        [L.Conv2D(5, 3, **FIRST), L.AveragePooling2D(2, **FIRST), L.BatchNormalization(axis=1)],
        [L.BatchNormalization(axis=1), L.Conv2D(5, 3, **FIRST)],
        [L.BatchNormalization(axis=1), L.Cropping2D(1, **FIRST), L.Conv2D(6, 3, groups=2, **FIRST)],
        [L.BatchNormalization(axis=1), L.GlobalAveragePooling2D(**FIRST), L.Dense(3)],
        [L.BatchNormalization(axis=1), L.Flatten(**FIRST), L.Dense(3)],
        [L.Conv2D(6, 1, **FIRST), L.GlobalAveragePooling2D(**FIRST), L.BatchNormalization()],
        [L.ZeroPadding2D(1, **FIRST), L.Conv2D(5, 3, **FIRST)],
        [L.Conv2D(12, 1, **FIRST), L.Conv2D(5, 3, **FIRST)],
    ],
    ids=lambda layers: "-".join(type(x).__name__ for x in layers),
)
def test_channels_first(layers: list[Any]) -> None:
    x = image = keras.Input((4, 9, 9))
    for layer in layers:
        x = layer(x)
    model = randomize(keras.Model(image, L.Activation("tanh")(x)))
    reduction = kito.reduce(model)
    assert reduction.layers[1] < reduction.layers[0]
    assert_same_compiled(model, reduction.model)


def test_channels_first_branches() -> None:
    image = keras.Input((4, 9, 7))
    branches = [L.Conv2D(4, k, padding="same", **FIRST)(image) for k in (3, 1)]
    model = randomize(keras.Model(image, L.Add()([*branches, L.BatchNormalization(axis=1)(image)])))
    reduction = kito.reduce(model)
    assert reduction.layers[1] == 3  # the name of the sum stays
    assert_same_compiled(model, reduction.model)


def test_channels_first_flatten_is_followed() -> None:
    image = keras.Input((4, 3, 2))
    x = L.BatchNormalization(axis=1)(L.Activation("tanh")(image))
    model = randomize(keras.Model(image, L.Dense(3)(L.Flatten(**FIRST)(x))))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert not reduction.kept
    assert_same(model, reduction.model)


@pytest.mark.backends("tensorflow")  # only there Keras mistakes it
@pytest.mark.parametrize("width, rewritten", [(4, False), (7, True)])
def test_channels_first_branches_where_keras_mistakes_the_bias(width: int, rewritten: bool) -> None:
    image = keras.Input((4, 9, width))
    three = L.Conv2D(4, 3, padding="same", use_bias=False, **FIRST)(image)
    model = keras.Model(image, L.Add()([three, L.BatchNormalization(axis=1)(image)]))
    reduction = kito.reduce(randomize(model), passes=("merge_branches",))
    assert bool(reduction.rewrites) is rewritten
    assert_same_compiled(model, reduction.model)


@pytest.mark.backends("tensorflow")
@pytest.mark.parametrize("width, rewritten", [(8, False), (7, True)])
def test_channels_first_pairs_where_keras_mistakes_the_bias(width: int, rewritten: bool) -> None:
    image = keras.Input((4, 9, width))
    model = keras.Model(
        image, L.Conv2D(8, 1, use_bias=False, **FIRST)(L.Conv2D(20, 1, **FIRST)(image))
    )
    reduction = kito.reduce(randomize(model), passes=("collapse_linear",))
    assert bool(reduction.rewrites) is rewritten
    assert_same_compiled(model, reduction.model)
