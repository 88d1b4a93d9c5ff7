"""Affines that are hoisted or sunk: every row of the transfer table, and shared layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from affine_models import (
    IMAGE,
    LINE,
    MIXED,
    POSITIVE,
    SHIFT,
    VOLUME,
    Rest,
    assert_gone,
    bn,
    build,
    reduce,
    scale,
    tanh,
    tanh_end,
)
from kito_models import assert_same, randomize

from kito.graph.read import read_graph
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import Affines
from kito.rewrite.propagation import Propagation

L = keras.layers


# ---- hoisted: conv -> what lets the affine pass -> affine ----------------------------------------

HOISTED: dict[str, tuple[tuple[int, ...], Rest]] = {
    "average pooling": (IMAGE, lambda x: bn()(L.AveragePooling2D(2)(L.Conv2D(4, 3)(x)))),
    "average pooling, same": (
        IMAGE,
        lambda x: bn()(L.AveragePooling2D(3, 2, padding="same")(L.Conv2D(4, 3)(x))),
    ),
    "average pooling 1d": (LINE, lambda x: bn()(L.AveragePooling1D(2)(L.Conv1D(4, 3)(x)))),
    "average pooling 3d": (VOLUME, lambda x: bn()(L.AveragePooling3D(2)(L.Conv3D(4, 2)(x)))),
    "global average": (IMAGE, lambda x: bn()(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x)))),
    "global average, keepdims": (
        IMAGE,
        lambda x: bn()(L.GlobalAveragePooling2D(keepdims=True)(L.Conv2D(4, 3)(x))),
    ),
    "up-sampling": (IMAGE, lambda x: bn()(L.UpSampling2D(2)(L.Conv2D(4, 3)(x)))),
    "up-sampling, bilinear": (
        IMAGE,
        lambda x: bn()(L.UpSampling2D(2, interpolation="bilinear")(L.Conv2D(4, 3)(x))),
    ),
    "up-sampling 1d": (LINE, lambda x: bn()(L.UpSampling1D(3)(L.Conv1D(4, 3)(x)))),
    "up-sampling 3d": (VOLUME, lambda x: bn()(L.UpSampling3D(2)(L.Conv3D(4, 2)(x)))),
    "resizing": (IMAGE, lambda x: bn()(L.Resizing(7, 13)(L.Conv2D(4, 3)(x)))),
    "cropping": (IMAGE, lambda x: bn()(L.Cropping2D(1)(L.Conv2D(4, 3)(x)))),
    "cropping 1d": (LINE, lambda x: bn()(L.Cropping1D(2)(L.Conv1D(4, 3)(x)))),
    "cropping 3d": (VOLUME, lambda x: bn()(L.Cropping3D(1)(L.Conv3D(4, 2)(x)))),
    "max pooling": (IMAGE, lambda x: L.MaxPooling2D(2)(L.Conv2D(4, 3)(x)) * POSITIVE + SHIFT),
    "max pooling, zero scales": (
        IMAGE,
        lambda x: L.MaxPooling2D(2, padding="same")(L.Conv2D(4, 3)(x)) * np.abs(MIXED),
    ),
    "global maximum": (LINE, lambda x: L.GlobalMaxPooling1D()(L.Conv1D(4, 3)(x)) * POSITIVE),
    "zero padding": (IMAGE, lambda x: scale()(L.ZeroPadding2D(2)(L.Conv2D(4, 3)(x)))),
    "zero padding 1d": (LINE, lambda x: scale()(L.ZeroPadding1D(2)(L.Conv1D(4, 3)(x)))),
    "zero padding 3d": (VOLUME, lambda x: scale()(L.ZeroPadding3D(1)(L.Conv3D(4, 2)(x)))),
    "relu": (IMAGE, lambda x: scale(POSITIVE)(L.ReLU()(L.Conv2D(4, 3)(x)))),
    "relu, leaky": (IMAGE, lambda x: scale(POSITIVE)(L.ReLU(negative_slope=0.2)(L.Dense(4)(x)))),
    "leaky relu": (IMAGE, lambda x: scale(POSITIVE)(L.LeakyReLU()(L.Conv2D(4, 3)(x)))),
    "prelu": (IMAGE, lambda x: scale(POSITIVE)(L.PReLU()(L.Conv2D(4, 3)(x)))),
    "activation relu": (IMAGE, lambda x: scale(POSITIVE)(L.Activation("relu")(L.Dense(4)(x)))),
    "operation relu": (IMAGE, lambda x: scale(POSITIVE)(keras.ops.relu(L.Dense(4)(x)))),
    "built-in relu": (IMAGE, lambda x: scale(POSITIVE)(L.Conv2D(4, 3, activation="relu")(x))),
    "dropout": (IMAGE, lambda x: bn()(L.Dropout(0.5)(L.Conv2D(4, 3)(x)))),
    "linear activation": (IMAGE, lambda x: bn()(L.Activation("linear")(L.Conv2D(4, 3)(x)))),
    "permute": (IMAGE, lambda x: bn(axis=1)(L.Permute((3, 2, 1))(L.Conv2D(4, 3)(x)))),
    "repeat": ((6,), lambda x: bn()(L.RepeatVector(3)(L.Dense(4)(x)))),
    "reshape": (IMAGE, lambda x: bn()(L.Reshape((4, 12, 4))(L.Conv2D(4, 3)(x)))),
    "reshape of a vector": ((6,), lambda x: bn()(L.Reshape((1, 1, 4))(L.Dense(4)(x)))),
    "reshape that splits channels": ((6,), lambda x: bn(axis=1)(L.Reshape((4, 3))(L.Dense(12)(x)))),
    "flatten, one scale": (IMAGE, lambda x: L.Flatten()(L.Conv2D(4, 3)(x)) * -0.5 + 2.0),
    "concatenate channels": (
        IMAGE,
        lambda x: bn()(L.Concatenate()([L.Conv2D(4, 3)(x), L.Conv2D(2, 3)(x)])),
    ),
    "concatenate rows": (
        IMAGE,
        lambda x: bn()(L.Concatenate(axis=1)([L.Conv2D(4, 3)(x), L.Conv2D(4, 3)(x)])),
    ),
    "add": (IMAGE, lambda x: bn()(L.Add()([L.Conv2D(4, 3)(x), L.Conv2D(4, 3)(x)]))),
    "plus": (IMAGE, lambda x: bn()(L.Conv2D(4, 3)(x) + L.Conv2D(4, 3, use_bias=False)(x))),
    "multiply": (IMAGE, lambda x: scale()(L.Multiply()([tanh(x), L.Conv2D(4, 1)(x)]))),
    "times": (IMAGE, lambda x: scale()(L.Conv2D(4, 1)(x) * tanh(x))),
    "squeeze and excite": (
        IMAGE,
        lambda x: scale()(
            L.Multiply()([tanh(x), L.Dense(4)(L.GlobalAveragePooling2D(keepdims=True)(x))])
        ),
    ),
    "time distributed": (
        (3, *IMAGE),
        lambda x: bn()(
            L.TimeDistributed(L.AveragePooling2D(2))(L.TimeDistributed(L.Conv2D(4, 3))(x))
        ),
    ),
    "layer normalization": (LINE, lambda x: bn()(L.LayerNormalization()(x))),
    "layer normalization, bare": (
        LINE,
        lambda x: bn()(L.LayerNormalization(center=False, scale=False)(x)),
    ),
    "group normalization": (IMAGE, lambda x: bn()(L.GroupNormalization(2)(x))),
    "group normalization, bare": (
        IMAGE,
        lambda x: bn()(L.GroupNormalization(2, center=False, scale=False)(x)),
    ),
    "einsum": (LINE, lambda x: bn()(L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")(x))),
    "einsum without bias": (LINE, lambda x: bn()(L.EinsumDense("...x,xy->...y", 5)(x))),
    "einsum, channels not last": (
        LINE,
        lambda x: bn(axis=1)(L.EinsumDense("abc,bd->adc", (5, 4), bias_axes="d")(x)),
    ),
}


@pytest.mark.parametrize("case", HOISTED)
def test_hoisted(case: str) -> None:
    shape, rest = HOISTED[case]
    model = build(shape, rest)
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


# ---- sunk: tanh -> affine -> what lets the affine pass -> what absorbs it ------------------------

SUNK: dict[str, tuple[tuple[int, ...], Rest]] = {
    "conv1d": (LINE, lambda x: L.Conv1D(6, 3)(bn()(tanh(x)))),
    "conv2d": (IMAGE, lambda x: L.Conv2D(6, 3)(bn()(tanh(x)))),
    "conv2d, no bias": (IMAGE, lambda x: L.Conv2D(6, (3, 2), 2, use_bias=False)(bn()(tanh(x)))),
    "conv2d, dilated": (IMAGE, lambda x: L.Conv2D(6, 3, dilation_rate=2)(bn()(tanh(x)))),
    "conv2d, groups": (IMAGE, lambda x: L.Conv2D(6, 3, groups=2)(bn()(tanh(x)))),
    "conv2d, active": (IMAGE, lambda x: L.Conv2D(6, 3, activation="relu")(bn()(tanh(x)))),
    "conv2d, one tap": (IMAGE, lambda x: L.Conv2D(6, 1, 2, padding="same")(bn()(tanh(x)))),
    "conv2d, same": (IMAGE, lambda x: L.Conv2D(6, 3, padding="same")(scale()(tanh(x)))),
    "conv1d, causal": (LINE, lambda x: L.Conv1D(6, 3, padding="causal")(scale()(tanh(x)))),
    "conv3d": (VOLUME, lambda x: L.Conv3D(6, 2)(bn()(tanh(x)))),
    "transposed": (IMAGE, lambda x: L.Conv2DTranspose(6, 3, 2)(scale()(tanh(x)))),
    "transposed 1d": (LINE, lambda x: L.Conv1DTranspose(6, 3)(scale()(tanh(x)))),
    "transposed 3d": (VOLUME, lambda x: L.Conv3DTranspose(6, 2)(scale()(tanh(x)))),
    "depthwise": (IMAGE, lambda x: L.DepthwiseConv2D(3, depth_multiplier=2)(bn()(tanh(x)))),
    "depthwise 1d": (LINE, lambda x: L.DepthwiseConv1D(3, use_bias=False)(bn()(tanh(x)))),
    "depthwise, same": (IMAGE, lambda x: L.DepthwiseConv2D(3, padding="same")(scale()(tanh(x)))),
    "separable": (IMAGE, lambda x: L.SeparableConv2D(6, 3, depth_multiplier=2)(bn()(tanh(x)))),
    "separable 1d": (LINE, lambda x: L.SeparableConv1D(6, 3, use_bias=False)(bn()(tanh(x)))),
    "separable, same": (IMAGE, lambda x: L.SeparableConv2D(6, 3, padding="same")(scale()(tanh(x)))),
    "dense": ((6,), lambda x: L.Dense(5)(bn()(tanh(x)))),
    "dense of rank 4": (IMAGE, lambda x: L.Dense(5, use_bias=False)(bn()(tanh(x)))),
    "einsum": (
        LINE,
        lambda x: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")(bn()(tanh(x))),
    ),
    "einsum over two axes": (LINE, lambda x: L.EinsumDense("abc,bcd->ad", 5)(bn()(tanh(x)))),
    "einsum over the first of two axes": (
        LINE,
        lambda x: L.EinsumDense("abc,bcd->ad", 5, bias_axes="d")(bn(axis=1)(tanh(x))),
    ),
    "average pooling": (IMAGE, lambda x: L.Conv2D(6, 3)(L.AveragePooling2D(2)(bn()(tanh(x))))),
    "global average": (IMAGE, lambda x: L.Dense(6)(L.GlobalAveragePooling2D()(bn()(tanh(x))))),
    "max pooling": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.MaxPooling2D(2)(tanh(x) * POSITIVE + SHIFT)),
    ),
    "up-sampling": (IMAGE, lambda x: L.Conv2D(6, 3)(L.UpSampling2D(2)(bn()(tanh(x))))),
    "cropping": (IMAGE, lambda x: L.Conv2D(6, 3)(L.Cropping2D(1)(bn()(tanh(x))))),
    "zero padding": (IMAGE, lambda x: L.Conv2D(6, 3)(L.ZeroPadding2D(1)(scale()(tanh(x))))),
    "relu": (IMAGE, lambda x: L.Conv2D(6, 3)(L.ReLU()(scale(POSITIVE)(tanh(x))))),
    "prelu": (IMAGE, lambda x: L.Conv2D(6, 3)(L.PReLU()(scale(POSITIVE)(tanh(x))))),
    "dropout": (IMAGE, lambda x: L.Conv2D(6, 3)(L.Dropout(0.5)(bn()(tanh(x))))),
    "flatten": (IMAGE, lambda x: L.Dense(5)(L.Flatten()(bn()(tanh(x))))),
    "reshape": (IMAGE, lambda x: L.Conv2D(6, 3)(L.Reshape((4, 20, 4))(bn()(tanh(x))))),
    "permute": (IMAGE, lambda x: L.Conv2D(6, 3)(L.Permute((2, 3, 1))(bn(axis=1)(tanh(x))))),
    "repeat": ((6,), lambda x: L.Conv1D(6, 2)(L.RepeatVector(3)(bn()(tanh(x))))),
    "several users": (
        IMAGE,
        lambda x: [f(y) for y in [bn()(tanh(x))] for f in (L.Conv2D(6, 3), L.Dense(3))],
    ),
    "concatenate": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Concatenate()([bn()(tanh(x)), tanh_end(x)])),
    ),
    "concatenate, the second of two": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Concatenate()([tanh_end(x), bn()(tanh(x))])),
    ),
    "multiply": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Multiply()([tanh_end(x), scale()(tanh(x))])),
    ),
    "add, a shift": (IMAGE, lambda x: L.Conv2D(6, 3)(L.Add()([tanh(x) + SHIFT, tanh_end(x)]))),
    "add, a shift to the other branch": (
        IMAGE,
        lambda x: L.Add()([tanh(x) + SHIFT, L.Conv2D(4, 1)(x)]),
    ),
    "a product, a scale to the other factor": (
        IMAGE,
        lambda x: L.Multiply()([scale()(tanh(x)), L.Conv2D(4, 1)(x)]),
    ),
    "at the input": (IMAGE, lambda x: L.Conv2D(6, 3)(bn()(x))),
    "beside other users of its input": (
        IMAGE,
        lambda x: [y for z in [tanh(x)] for y in (L.Conv2D(6, 3)(bn()(z)), L.Dense(2)(z))],
    ),
    "rescaling": (IMAGE, lambda x: L.Conv2D(6, 3)(L.Rescaling(0.1, -0.5)(x))),
    "rescaling by channel": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Rescaling(MIXED.tolist(), SHIFT.tolist())(x)),
    ),
    "rescaling, scale only": (
        IMAGE,
        lambda x: L.Conv2D(6, 3, padding="same")(L.Rescaling(1 / 255)(x)),
    ),
    "normalization": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Normalization(mean=[1, 2, -3, 0.0], variance=[4, 1, 9, 2.0])(x)),
    ),
    "normalization of all": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Normalization(axis=None, mean=3.0, variance=4.0)(x)),
    ),
    "normalization, inverted": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Normalization(mean=3.0, variance=4.0, invert=True)(x)),
    ),
    "constants": (IMAGE, lambda x: L.Conv2D(6, 3)(1.0 - (2.0 * (3.0 + x) / SCALES - 1.0))),
    "negative": (IMAGE, lambda x: L.Conv2D(6, 3)(-tanh(x))),
    "time distributed": (
        (3, *IMAGE),
        lambda x: L.TimeDistributed(L.Conv2D(4, 3))(bn()(tanh(x))),
    ),
    "time distributed rescaling": (
        (3, *IMAGE),
        lambda x: L.TimeDistributed(L.Conv2D(4, 3))(L.TimeDistributed(L.Rescaling(0.1, -1.0))(x)),
    ),
    "time distributed pooling": (
        (3, *IMAGE),
        lambda x: L.Dense(5)(L.TimeDistributed(L.GlobalAveragePooling2D())(bn()(tanh(x)))),
    ),
}
SCALES = np.array([0.5, -2.0, 0.25, 3.0], "float32")


@pytest.mark.parametrize("case", SUNK)
def test_sunk(case: str) -> None:
    shape, rest = SUNK[case]
    model = build(shape, rest)
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


# ---- layers at several places ------------------------------------------------------------------


def test_a_shared_layer_absorbs_once_where_all_calls_ask_for_the_same() -> None:
    conv, shared = L.Conv2D(4, 3, name="conv"), bn()
    model = build(IMAGE, lambda x: [conv(shared(tanh(x))), conv(shared(tanh_end(x)))])
    reduction = reduce(model)
    assert_gone(reduction)
    assert sum(isinstance(x, L.Conv2D) for x in reduction.model.layers) == 1
    assert_same(model, reduction.model)


def test_a_shared_layer_is_copied_where_one_call_asks() -> None:
    conv = L.Conv2D(4, 3, name="conv")
    model = build(IMAGE, lambda x: [conv(bn()(tanh(x))), conv(x)])
    reduction = reduce(model)
    assert_gone(reduction)
    assert sum(isinstance(x, L.Conv2D) for x in reduction.model.layers) == 2
    assert_same(model, reduction.model)


def test_a_shared_layer_is_copied_where_its_calls_absorb_different_parts() -> None:
    conv = L.Conv2D(4, 3, name="conv")
    model = build(IMAGE, lambda x: bn()(L.Add()([conv(x), conv(tanh(x))])))
    reduction = reduce(model)
    assert_gone(reduction)
    assert sum(isinstance(x, L.Conv2D) for x in reduction.model.layers) == 2
    assert_same(model, reduction.model)


def test_a_normalization_that_follows_itself() -> None:
    shared, conv = bn(), L.Conv2D(4, 1)
    model = build(IMAGE, lambda x: L.Dense(2)(shared(conv(shared(tanh(x))))))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


@pytest.mark.backends("tensorflow")  # only there Keras mistakes it
def test_channels_first_where_keras_mistakes_the_bias() -> None:
    image = keras.Input((4, 7, 8))
    conv = L.Conv2D(6, 3, data_format="channels_first", name="conv")
    model = keras.Model(image, L.ReLU()(L.BatchNormalization(axis=1)(conv(image))))
    reduction = reduce(randomize(model))  # the last axis has 6 elements, as the channels have
    assert "Keras may add its bias along the last axis" in reduction.kept[0].reason


def test_many_joins_end_in_time() -> None:
    def rest(x: Any) -> Any:
        tensors = [L.Conv2D(4, 1)(x) for _ in range(7)]
        total = tanh(x)
        for tensor in tensors:
            total = L.Add()([tensor, L.Multiply()([total, L.Conv2D(4, 1)(x)])])
        return bn()(total)

    model = build(IMAGE, rest)
    reduction = reduce(model)
    assert reduction.seconds < 20
    assert_same(model, reduction.model)


def test_a_shared_layer_that_names_an_output() -> None:
    conv = L.Conv2D(4, 3, padding="same", name="conv")
    image = keras.Input(IMAGE)
    x = L.ReLU()(conv(image))
    model = randomize(keras.Model(image, conv(x * POSITIVE)))
    reduction = reduce(model)
    assert reduction.model.output_names == ["conv"]
    assert_same(model, reduction.model)


def test_a_shared_normalization_of_tensors_of_different_rank() -> None:
    shared = L.Rescaling(MIXED.tolist(), SHIFT.tolist())
    line, image = keras.Input((6, 4)), keras.Input((6, 4, 4))
    turned = L.Permute((1, 3, 2))(shared(L.Activation("tanh")(image)))
    ends = [L.Dense(3)(shared(L.Activation("tanh")(line))), L.Dense(2)(turned)]
    model = randomize(keras.Model([line, image], ends))
    reduction = reduce(model)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("how", ["quantize", "lora"])
def test_quantized_and_lora_layers_below(how: str) -> None:
    dense = L.Dense(8, name="dense")
    model = build((16,), lambda x: dense(bn()(tanh(x))))
    if how == "quantize":
        dense.quantize("int8")
    else:
        dense.enable_lora(2)
    reduction = reduce(model)
    assert ("quantized (int8)" if how == "quantize" else "LoRA") in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_a_bias_that_would_overflow() -> None:
    model = build((4,), lambda x: L.Dense(3, name="dense")(bn()(tanh(x))))
    gamma, beta, mean, variance = model.get_layer("bn").get_weights()
    model.get_layer("bn").set_weights([gamma, beta + 1e30, mean, variance])
    model.get_layer("dense").set_weights([np.full((4, 3), 1e20, "float32"), np.zeros(3)])
    assert "the folded bias would hold" in reduce(model).kept[0].reason


def test_one_call_of_a_normalization_trains() -> None:
    shared = bn()
    model = build(
        IMAGE,
        lambda x: [shared(L.Conv2D(4, 3)(x)), shared(L.Conv2D(4, 3)(tanh(x)), training=True)],
    )
    reduction = reduce(model)
    assert [x.layers for x in reduction.rewrites] == [("bn",)]
    assert "training=True" in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_a_shared_normalization_that_names_an_output() -> None:
    shared = bn()
    image = keras.Input(IMAGE)
    ends = [shared(L.Conv2D(4, 3)(image)), L.Softmax()(shared(tanh(image)))]
    model = randomize(keras.Model(image, ends))
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 1)
    assert reduction.model.output_names == model.output_names
    assert_same(model, reduction.model)


@pytest.mark.parametrize("kind", [L.ReLU, L.LeakyReLU])
def test_a_scale_does_not_pass_a_sum_with_a_constant(kind: Any) -> None:
    """``s * (relu(x) + c)`` is not ``s * relu(x) + c``."""

    def rest(x: Any) -> Any:
        # Called twice, so that it cannot take the constant in.
        norm = L.BatchNormalization(scale=False, name="bn")
        y = norm(kind()(L.Conv2D(4, 3)(x)) + SHIFT)
        return [L.Add()([y, L.Conv2D(4, 3)(x)]), norm(tanh(x))]

    model = build(IMAGE, rest)
    assert_same(model, reduce(model).model)


@pytest.mark.parametrize("altered", [False, True])
def test_nothing_passes_an_affine_that_took_another_in(altered: bool) -> None:
    """A product that has become ``s * (x * c) + t`` lets no scale pass as a product does."""
    x = keras.Input(IMAGE)
    y = L.Conv2D(4, 3, name="conv")(x) * MIXED
    graph = read_graph(keras.Model(x, L.ReLU()(y)))
    product, user = list(graph.nodes)[-2:]
    affines = Affines()
    if altered:
        affines.alter(product, Affine.of(2.0, 1.0, None))
    propagation = Propagation(affines)
    scale = Affine.of(3.0, 0.0, None, adds=False)
    if altered:
        with pytest.raises(Refused, match="no affine can be folded into the operation"):
            propagation.hoist(product.outputs[0], scale, user)
    else:
        propagation.hoist(product.outputs[0], scale, user)
        assert [node.op.name for node in propagation.plan.absorptions] == ["conv"]
