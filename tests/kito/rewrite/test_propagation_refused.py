"""Affines that can be neither hoisted nor sunk: every refusal of the transfer table."""

from __future__ import annotations

import keras
import pytest
from affine_models import (
    IMAGE,
    LINE,
    NEGATIVE,
    POSITIVE,
    SHIFT,
    Rest,
    bn,
    build,
    reduce,
    scale,
    tanh,
    tanh_end,
)
from kito_models import assert_same, randomize

L = keras.layers


REFUSED: dict[str, tuple[tuple[int, ...], Rest, str]] = {
    "same padding": (
        IMAGE,
        lambda x: L.Conv2D(6, 3, padding="same", name="conv")(bn()(tanh(x))),
        "'conv' pads with zeros (padding='same')",
    ),
    "causal padding": (
        LINE,
        lambda x: L.Conv1D(6, 3, padding="causal", name="conv")(bn()(tanh(x))),
        "'conv' pads with zeros (padding='causal')",
    ),
    "same padding, depthwise": (
        IMAGE,
        lambda x: L.DepthwiseConv2D(3, padding="same", name="conv")(bn()(tanh(x))),
        "'conv' pads with zeros",
    ),
    "same padding, separable": (
        IMAGE,
        lambda x: L.SeparableConv2D(6, 3, padding="same", name="conv")(bn()(tanh(x))),
        "'conv' pads with zeros",
    ),
    "transposed": (
        IMAGE,
        lambda x: L.Conv2DTranspose(6, 3, name="conv")(bn()(tanh(x))),
        "sums a different number of elements",
    ),
    "zero padding below": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.ZeroPadding2D(1, name="pad")(bn()(tanh(x)))),
        "'pad' pads with zeros",
    ),
    "zero padding above": (
        IMAGE,
        lambda x: bn()(L.ZeroPadding2D(1, name="pad")(L.Conv2D(4, 3)(x))),
        "'pad' pads with zeros",
    ),
    "maxima of negative scales": (
        IMAGE,
        lambda x: bn()(L.MaxPooling2D(2, name="pool")(L.Conv2D(4, 3)(x))),
        "'pool' takes maxima; the scale passes only where it is not negative",
    ),
    "relu, a shift": (
        IMAGE,
        lambda x: bn()(L.ReLU(name="relu")(L.Conv2D(4, 3)(x))),
        "'relu' (ReLU) is not linear; the scale passes only where it is positive",
    ),
    "relu, a negative scale": (
        IMAGE,
        lambda x: scale(NEGATIVE)(L.ReLU(name="relu")(L.Conv2D(4, 3)(x))),
        "'relu' (ReLU) is not linear; the scale passes only where it is positive: 1 of 4 channels",
    ),
    "built-in relu": (
        IMAGE,
        lambda x: bn()(L.Conv2D(4, 3, activation="relu", name="conv")(x)),
        "'conv' applies its activation 'relu' before it; the scale passes only where it is positi",
    ),
    "built-in relu, only a shift": (
        IMAGE,
        lambda x: L.Conv2D(4, 3, activation="relu", name="conv")(x) + SHIFT,
        "'conv' applies its activation 'relu' before it; the shift cannot pass that",
    ),
    "relu6": (
        IMAGE,
        lambda x: scale(POSITIVE)(L.ReLU(6.0, name="relu")(L.Conv2D(4, 3)(x))),
        "'relu' cuts off at fixed values",
    ),
    "threshold": (
        IMAGE,
        lambda x: scale(POSITIVE)(L.ReLU(threshold=0.5, name="relu")(L.Conv2D(4, 3)(x))),
        "'relu' cuts off at fixed values",
    ),
    "another activation": (
        IMAGE,
        lambda x: scale(POSITIVE)(L.Activation("gelu", name="act")(L.Conv2D(4, 3)(x))),
        "'act' applies 'gelu', which lets no affine pass",
    ),
    "bicubic": (
        IMAGE,
        lambda x: bn()(L.UpSampling2D(2, interpolation="bicubic", name="up")(L.Dense(4)(x))),
        "'up' interpolates by 'bicubic'",
    ),
    "padding to the aspect ratio": (
        IMAGE,
        lambda x: bn()(L.Resizing(9, 9, pad_to_aspect_ratio=True, name="up")(L.Dense(4)(x))),
        "'up' pads to the aspect ratio",
    ),
    "rows that are pooled": (
        IMAGE,
        lambda x: bn(axis=1)(L.AveragePooling2D(2, name="pool")(L.Conv2D(4, 3)(x))),
        "'pool' combines elements along that axis",
    ),
    "repeated": (
        (6,),
        lambda x: bn(axis=1)(L.RepeatVector(3, name="again")(L.Dense(4)(x))),
        "along which 'again' repeats",
    ),
    "flatten above": (
        IMAGE,
        lambda x: bn()(L.Flatten(name="flat")(L.Conv2D(4, 3)(x))),
        "'flat' reshapes its channels so that they lie on several axes",
    ),
    "reshape of an open size": (
        (None, 4),
        lambda x: bn()(L.Reshape((-1, 2, 4), name="shape")(L.Conv1D(4, 3)(x))),
        "'shape' reshapes a tensor of open size",
    ),
    "one branch of a sum": (
        IMAGE,
        lambda x: bn()(L.Add(name="sum")([L.Conv2D(4, 1)(x), tanh(x)])),
        "'tanh' applies 'tanh'",
    ),
    "one branch of a concatenation": (
        IMAGE,
        lambda x: bn()(L.Concatenate()([L.Conv2D(4, 1)(x), tanh(x)])),
        "'tanh' applies 'tanh'",
    ),
    "a scale below a sum": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Add(name="sum")([bn()(tanh(x)), tanh_end(x)])),
        "'sum' adds other tensors, which its scale must not reach",
    ),
    "a shift over a product": (
        IMAGE,
        lambda x: bn()(L.Multiply(name="product")([L.Conv2D(4, 1)(x), L.Conv2D(4, 1)(x)])),
        "'product' is a product, which only a scale can pass",
    ),
    "a sum that repeats an operand": (
        IMAGE,
        lambda x: bn()(L.Add(name="sum")([L.Conv2D(4, 1)(x), L.Conv2D(1, 1)(x)])),
        "'sum' repeats one of its operands along the channels",
    ),
    "a concatenation of rows below": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(
            L.Concatenate(axis=1, name="joined")([bn()(tanh(x)), tanh_end(x)])
        ),
        "'joined' joins other tensors along axis 1",
    ),
    "one of several users": (
        IMAGE,
        lambda x: [f(y) for y in [bn()(tanh(x))] for f in (L.Conv2D(6, 3), L.Softmax(name="soft"))],
        "no affine can be folded into 'soft'",
    ),
    "another axis": (
        IMAGE,
        lambda x: L.Conv2D(6, 3, name="conv")(bn(axis=1)(tanh(x))),
        "it works on axis 1; the channels of 'conv' are on axis 3",
    ),
    "einsum with two channel axes": (
        LINE,
        lambda x: bn()(L.EinsumDense("abc,cde->abde", (None, 2, 3), name="heads")(x)),
        "'heads' computes 'abc,cde->abde'",
    ),
    "einsum over an axis that is not in the kernel": (
        LINE,
        lambda x: L.EinsumDense("abc,cd->ad", 5, name="sums")(bn()(tanh(x))),
        "no plain product",
    ),
    "relu, only a shift": (
        IMAGE,
        lambda x: L.ReLU(name="relu")(L.Conv2D(4, 3)(x)) + SHIFT,
        "'relu' (ReLU) lets no shift pass",
    ),
    "resizing that smooths": (
        IMAGE,
        lambda x: bn()(L.Resizing(5, 5, antialias=True, name="up")(L.Dense(4)(x))),
        "or antialiases",
    ),
    "a sum of tensors of different rank": (
        IMAGE,
        lambda x: bn()(
            L.Add(name="sum")([L.Conv2D(4, 3)(x), L.Dense(4)(L.GlobalAveragePooling2D()(x))])
        ),
        "'sum' joins tensors of 2 and 4 axes",
    ),
    "another built-in activation": (
        IMAGE,
        lambda x: scale(POSITIVE)(L.Conv2D(4, 3, activation="sigmoid", name="conv")(x)),
        "'conv' applies its activation 'sigmoid' before it",
    ),
    "an active einsum": (
        LINE,
        lambda x: bn()(L.EinsumDense("abc,cd->abd", (None, 4), activation="gelu", name="d")(x)),
        "'d' applies its activation 'gelu' before it",
    ),
    "einsum with two channel axes, the first": (
        LINE,
        lambda x: bn(axis=2)(L.EinsumDense("abc,cde->abde", (None, 2, 3), name="heads")(x)),
        "'heads' computes 'abc,cde->abde'",
    ),
    "einsum with a bias along two axes": (
        LINE,
        lambda x: bn()(L.EinsumDense("abc,cd->abd", (9, 4), bias_axes="bd", name="d")(x)),
        "'d' has a bias along 'bd'",
    ),
    "einsum that multiplies": (
        LINE,
        lambda x: bn()(L.EinsumDense("abc,c->abc", (9, 4), name="d")(x)),
        "'d' computes 'abc,c->abc'",
    ),
    "einsum with open axes behind": (
        IMAGE,
        lambda x: bn(axis=1)(L.EinsumDense("ab...,bc->ac...", 5, name="d")(x)),
        "a bias has no fixed shape",
    ),
    "several axes normalized": (
        IMAGE,
        lambda x: bn()(L.LayerNormalization(axis=[1, 2, 3], name="norm")(x)),
        "'norm' normalizes over several axes",
    ),
    "training dropout": (
        IMAGE,
        lambda x: bn()(L.Dropout(0.0, name="drop")(L.Conv2D(4, 3)(x), training=True)),
        "'drop' is called with training=True",
    ),
    "a large shift": (
        IMAGE,
        lambda x: L.Conv2D(6, 3)(L.Rescaling(1.0, 1e4, name="bn")(x)),
        "would cost digits",
    ),
    "time": (
        (3, *IMAGE),
        lambda x: L.TimeDistributed(L.Conv2D(4, 3), name="td")(bn(axis=1)(tanh(x))),
        "it works on axis 1, over which 'td' distributes its layer",
    ),
    "a nested model below": (
        LINE,
        lambda x: keras.Sequential([keras.Input(LINE), L.Dense(3)], name="inner")(bn()(tanh(x))),
        "it feeds model 'inner'",
    ),
    "taken twice": (
        IMAGE,
        lambda x: [L.Dot(-1, name="dot")([y, y]) for y in [bn()(tanh(x))]],
        "'dot' takes it more than once",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    shape, rest, reason = REFUSED[case]
    model = build(shape, rest)
    reduction = reduce(model)
    [kept] = reduction.kept
    assert reason in kept.reason
    assert_same(model, reduction.model)


def test_what_is_an_output_stays_one() -> None:
    x = image = keras.Input(IMAGE)
    normal = bn()(tanh(x))
    model = randomize(keras.Model(image, [normal, L.Conv2D(6, 3)(normal)]))
    reduction = reduce(model)
    assert "the result of 'bn' is an output of the model" in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_an_output_on_the_way_of_a_hoisted_affine() -> None:
    x = image = keras.Input(IMAGE)
    conv = L.Conv2D(6, 3, name="conv")(x)
    model = randomize(keras.Model(image, [bn()(L.AveragePooling2D(2)(conv)), conv]))
    reduction = reduce(model)
    assert "the result of 'conv' before it is an output" in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_another_user_on_the_way_of_a_hoisted_affine() -> None:
    x = image = keras.Input(IMAGE)
    conv = L.Conv2D(6, 3, name="conv")(x)
    model = keras.Model(image, [bn()(L.AveragePooling2D(2)(conv)), L.Softmax()(conv)])
    reduction = reduce(randomize(model))
    assert "the result of 'conv' is used 2 times" in reduction.kept[0].reason
    assert_same(model, reduction.model)
