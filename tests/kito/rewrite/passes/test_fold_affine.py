"""Every layer that absorbs a normalization after it, at 2e-5 of the output's scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

import kito
from kito.graph.keras_internals import all_layers

L = keras.layers
Make = Callable[[], Any]

LINE, IMAGE, VOLUME = (9, 4), (7, 8, 4), (5, 6, 5, 4)
LAYERS: dict[str, tuple[tuple[int, ...], Make]] = {
    "conv1d": (LINE, lambda: L.Conv1D(6, 3)),
    "conv1d_causal_dilated": (LINE, lambda: L.Conv1D(6, 3, padding="causal", dilation_rate=2)),
    "conv2d": (IMAGE, lambda: L.Conv2D(6, 3, padding="same")),
    "conv2d_no_bias_strided": (IMAGE, lambda: L.Conv2D(6, (3, 2), strides=2, use_bias=False)),
    "conv2d_dilated": (IMAGE, lambda: L.Conv2D(6, 3, dilation_rate=2)),
    "conv2d_grouped": (IMAGE, lambda: L.Conv2D(6, 3, groups=2)),
    "conv3d": (VOLUME, lambda: L.Conv3D(6, 2)),
    "conv1d_transpose": (LINE, lambda: L.Conv1DTranspose(6, 3, strides=2)),
    "conv2d_transpose": (IMAGE, lambda: L.Conv2DTranspose(6, 3, strides=2, padding="same")),
    "conv2d_transpose_no_bias": (IMAGE, lambda: L.Conv2DTranspose(6, 3, use_bias=False)),
    "conv3d_transpose": (VOLUME, lambda: L.Conv3DTranspose(6, 2)),
    "depthwise1d": (LINE, lambda: L.DepthwiseConv1D(3, depth_multiplier=2)),
    "depthwise2d": (IMAGE, lambda: L.DepthwiseConv2D(3, depth_multiplier=3, padding="same")),
    "depthwise2d_no_bias": (IMAGE, lambda: L.DepthwiseConv2D(3, use_bias=False)),
    "separable1d": (LINE, lambda: L.SeparableConv1D(6, 3, depth_multiplier=2)),
    "separable2d": (IMAGE, lambda: L.SeparableConv2D(6, 3, use_bias=False)),
    "dense_rank2": ((4,), lambda: L.Dense(6)),
    "dense_rank3": (LINE, lambda: L.Dense(6, use_bias=False)),
    "dense_rank5": (VOLUME, lambda: L.Dense(6)),
}
KITO = ("conv1d", "conv2d", "conv3d", "conv2d_transpose", "depthwise2d", "separable2d")


def chain(shape: tuple[int, ...], *layers: Any) -> Any:
    x = image = keras.Input(shape, name="image")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(image, L.Activation("tanh", name="end")(x), name="chain"))


@pytest.mark.parametrize("name", LAYERS)
def test_a_normalization_goes_into_the_layer_before_it(name: str) -> None:
    shape, make = LAYERS[name]
    layer = make()
    layer.name = "absorbs"
    model = chain(shape, layer, L.BatchNormalization(name="bn"))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert reduction.rewrites == (kito.Rewrite("fold_affine", ("bn",), "absorbs"),)
    assert [x.name for x in reduction.model.layers] == ["image", "absorbs", "end"]
    assert reduction.model.get_layer("absorbs").use_bias
    assert_same(model, reduction.model)


@pytest.mark.parametrize("name", LAYERS)
def test_fold_batchnorm_is_what_kito_did(name: str) -> None:
    shape, make = LAYERS[name]
    reduction = kito.reduce(
        chain(shape, make(), L.BatchNormalization()), passes=("fold_batchnorm",)
    )
    known = not any(name.startswith(x) for x in ("dense", "depthwise1d", "separable1d"))
    known = known and name not in ("conv1d_transpose", "conv3d_transpose")
    assert reduction.batchnorms == (1, 0 if known else 1)
    assert bool(reduction.kept) is not known


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_every_kind_of_normalization(center: bool, scale: bool, epsilon: float) -> None:
    norm = L.BatchNormalization(center=center, scale=scale, epsilon=epsilon)
    model = chain(IMAGE, L.Conv2D(5, 3), norm)
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


def test_channels_first() -> None:
    model = chain(
        (4, 7, 9), L.Conv2D(6, 3, data_format="channels_first"), L.BatchNormalization(axis=1)
    )
    conv = kito.reduce(model).model.layers[1]
    kernel, bias = (np.asarray(w, np.float64) for w in model.layers[1].get_weights())
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in model.layers[2].get_weights())
    scale = gamma / np.sqrt(variance + model.layers[2].epsilon)
    # TensorFlow runs no such convolution on a CPU, so the weights are compared with the formula.
    assert np.allclose(conv.get_weights()[0], kernel * scale, rtol=1e-6)
    assert np.allclose(conv.get_weights()[1], (bias - mean) * scale + beta, rtol=1e-5, atol=1e-6)


def test_two_normalizations_in_a_row_and_dropout_between() -> None:
    model = chain(
        IMAGE, L.Conv2D(6, 3), L.BatchNormalization(), L.Dropout(0.4), L.BatchNormalization()
    )
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (2, 0)
    assert_same(model, reduction.model)


def test_huge_and_tiny_statistics() -> None:
    model = chain(IMAGE, L.Conv2D(6, 3), L.BatchNormalization(name="bn", epsilon=1e-12))
    gamma, beta, mean, _ = model.get_layer("bn").get_weights()
    variance = np.array([1e-9, 1e-4, 1.0, 1e4, 1e8, 0.0], "float32")
    model.get_layer("bn").set_weights([gamma, beta, mean, variance])
    model = keras.Model(model.inputs, model.get_layer("bn").output)
    assert_same(model, kito.reduce(model).model)


# ---- nested models, and layers that are called several times ----------------------------------


def block(name: str, sequential: bool) -> Any:
    layers = [L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.Dropout(0.1)]
    if sequential:
        return keras.Sequential([keras.Input((7, 8, 4)), *layers], name=name)
    x = image = keras.Input((7, 8, 4))
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x, name=name)


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("calls", [1, 3])
def test_inside_nested_models(sequential: bool, calls: int) -> None:
    inner = block("block", sequential)
    x = image = keras.Input((7, 8, 4))
    for _ in range(calls):
        x = inner(x)
    model = randomize(keras.Model(image, L.Conv2D(2, 1)(x)))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    copy = reduction.model.get_layer("block")
    assert isinstance(copy, keras.Sequential) is sequential
    assert copy is not inner
    assert len(copy.layers) == len(inner.layers) - 2
    assert_same(model, reduction.model)


def test_models_in_models_in_models() -> None:
    inner = block("inner", sequential=True)
    x = image = keras.Input((7, 8, 4))
    middle = keras.Model(image, L.BatchNormalization()(L.Conv2D(4, 1)(inner(x))), name="middle")
    x = image = keras.Input((7, 8, 4))
    model = randomize(keras.Model(image, L.Activation("tanh")(middle(inner(x)))))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (2, 0)
    assert_same(model, reduction.model)


def shared(same_norm: bool, bare: bool = False) -> Any:
    """One convolution called on two inputs, normalized after each call or but once."""
    a, b = keras.Input((7, 8, 4), name="a"), keras.Input((7, 8, 4), name="b")
    conv = L.Conv2D(5, 3, name="conv")
    norm = L.BatchNormalization(name="bn")
    other = norm if same_norm else L.BatchNormalization(name="bn_other")
    first, second = norm(conv(a)), conv(b)
    if not bare:
        second = other(second)
    return randomize(keras.Model([a, b], [L.ReLU()(first), L.ReLU()(second)]))


def test_a_shared_layer_with_one_normalization_is_folded_once() -> None:
    model = shared(same_norm=True)
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert sum(isinstance(x, L.Conv2D) for x in reduction.model.layers) == 1
    assert_same(model, reduction.model)


@pytest.mark.parametrize("bare", [True, False])
def test_a_shared_layer_with_different_followers_gets_copies(bare: bool) -> None:
    model = shared(same_norm=False, bare=bare)
    reduction = kito.reduce(model)
    assert reduction.batchnorms[1] == 0
    names = [x.name for x in reduction.model.layers if isinstance(x, L.Conv2D)]
    assert len(names) == len(set(names)) == 2
    assert "conv" in names
    assert_same(model, reduction.model)


def test_a_shared_layer_and_its_normalization_that_return_two_outputs() -> None:
    a, b = keras.Input(IMAGE, name="a"), keras.Input(IMAGE, name="b")
    conv, norm = L.Conv2D(6, 3, name="conv"), L.BatchNormalization(name="bn")
    model = randomize(keras.Model([a, b], [norm(conv(a)), norm(conv(b))]))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert not reduction.precomputed
    assert reduction.model.output_names == model.output_names
    assert_same(model, reduction.model)
    assert not kito.reduce(reduction.model).rewrites


def test_a_shared_layer_whose_result_is_also_read_before_its_normalization() -> None:
    a, b = keras.Input(IMAGE, name="a"), keras.Input(IMAGE, name="b")
    conv, norm = L.Conv2D(6, 3, name="conv"), L.BatchNormalization(name="bn")
    early = conv(b)
    model = randomize(keras.Model([a, b], [norm(conv(a)), norm(early), L.ReLU()(early)]))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 1)
    assert reduction.kept[0].layer == "bn"
    assert_same(model, reduction.model)


def test_a_shared_layer_is_left_alone_by_fold_batchnorm() -> None:
    model = shared(same_norm=True)
    reduction = kito.reduce(model, passes=("fold_batchnorm",))
    assert reduction.batchnorms == (1, 1)
    assert "called several times" in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_a_layer_shared_between_a_model_and_its_nested_one() -> None:
    conv, norm = L.Conv2D(4, 3, padding="same"), L.BatchNormalization()
    inside = keras.Input((7, 8, 4))
    inner = keras.Model(inside, L.ReLU()(norm(conv(inside))))
    image = keras.Input((7, 8, 4))
    model = randomize(keras.Model(image, L.Activation("tanh")(conv(inner(image)))))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("inner_first", [True, False])
def test_a_layer_and_its_normalization_in_a_model_and_in_its_nested_one(inner_first: bool) -> None:
    conv, norm = L.Conv2D(4, 3, padding="same"), L.BatchNormalization()
    inside = keras.Input((7, 8, 4))
    inner = keras.Model(inside, L.ReLU()(norm(conv(inside))))
    x = image = keras.Input((7, 8, 4))
    x = norm(conv(inner(x))) if inner_first else inner(norm(conv(x)))
    model = randomize(keras.Model(image, L.Activation("tanh")(x)))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert sum(layer is L.Conv2D for layer in map(type, all_layers(reduction.model))) == 1
    assert_same(model, reduction.model)


def test_the_copy_of_a_shared_layer_takes_no_name_that_an_output_needs() -> None:
    x = keras.Input((7, 8, 4))
    conv = L.Conv2D(4, 3, name="conv")
    results = [L.BatchNormalization(name=f"conv_{i}")(conv(x * float(i))) for i in (1, 2)]
    model = randomize(keras.Model(x, [*results, L.ReLU(name="end")(conv(x))]))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (2, 0)
    assert reduction.model.output_names == ["conv_1", "conv_2", "end"]
    assert_same(model, reduction.model)


def test_a_copy_keeps_its_name_where_nothing_else_has_it() -> None:
    dense = L.Dense(4, name="dense")
    inside = keras.Input((4,))
    inner = keras.Model(inside, L.ReLU()(L.BatchNormalization()(dense(inside))), name="inner")
    x = keras.Input((4,))
    model = randomize(keras.Model(x, L.ReLU()(L.BatchNormalization()(dense(inner(x))))))
    reduced = kito.reduce(model).model
    assert reduced.get_layer("dense") is not reduced.get_layer("inner").get_layer("dense")
    assert_same(model, reduced)


@pytest.mark.parametrize("norm_distributed", [True, False])
def test_time_distributed_layers(norm_distributed: bool) -> None:
    norm: Any = L.BatchNormalization()
    if norm_distributed:
        norm = L.TimeDistributed(norm)
    model = chain((3, 7, 8, 4), L.TimeDistributed(L.Conv2D(5, 3), name="td"), norm)
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


def test_a_normalization_over_time_is_not_folded() -> None:
    model = chain((3, 7, 8, 4), L.TimeDistributed(L.Conv2D(5, 3)), L.BatchNormalization(axis=1))
    reduction = kito.reduce(model)
    assert_same(model, reduction.model)
    assert reduction.kept


def test_time_distributed_models() -> None:
    model = chain((3, 7, 8, 4), L.TimeDistributed(block("inner", sequential=False), name="td"))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)
