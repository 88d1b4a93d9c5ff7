"""Affines that are hoisted or sunk: every row of the transfer table, and every refusal of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

import kito
from kito.graph.read import read_graph
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import Affines
from kito.rewrite.propagation import Propagation

L = keras.layers
Rest = Callable[[Any], Any]

LINE, IMAGE, VOLUME = (9, 4), (8, 10, 4), (5, 6, 5, 4)
POSITIVE = np.array([0.5, 2.0, 0.25, 3.0], "float32")
MIXED = np.array([0.5, -2.0, 0.0, 3.0], "float32")
SHIFT = np.array([0.5, -2.0, 0.0, 3.0], "float32")


def bn(**arguments: Any) -> Any:
    return L.BatchNormalization(name="bn", **arguments)


def scale(vector: Any = MIXED) -> Any:
    return lambda x: x * vector


def tanh(x: Any) -> Any:
    """No affine can be hoisted above it."""
    return L.Activation("tanh", name="tanh")(x)


def build(shape: tuple[int, ...], rest: Rest) -> Any:
    x = image = keras.Input(shape, name="image")
    y = rest(x)
    ends = [tanh_end(t) for t in (y if isinstance(y, list) else [y])]
    return randomize(keras.Model(image, ends))


def tanh_end(x: Any) -> Any:
    return L.Activation("tanh")(x)


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("fold_affine",))


def operations(model: Any) -> list[str]:
    """The calls that are no layers, by type."""
    return [type(x).__name__ for x in model.operations if not isinstance(x, L.Layer)]


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


def assert_gone(reduction: kito.Reduction) -> None:
    """No affine is left, none is kept, and nothing became a Rescaling."""
    assert not reduction.kept
    assert reduction.rewrites
    assert reduction.batchnorms[1] == reduction.precomputed == 0
    assert not {type(x) for x in reduction.model.operations} & {L.Rescaling, L.Normalization}
    # Of arithmetic, what joins two tensors is left and nothing else.
    assert operations(reduction.model) in ([], ["Relu"], ["Add"], ["Multiply"])


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


# ---- refused -------------------------------------------------------------------------------------

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
        "adds up differently many elements",
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
    "built-in relu": (
        IMAGE,
        lambda x: bn()(L.Conv2D(4, 3, activation="relu", name="conv")(x)),
        "'conv' applies its activation 'relu' before it; the scale passes only where it is positi",
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
        "no sum over its kernel",
    ),
    "relu, only a shift": (
        IMAGE,
        lambda x: L.ReLU(name="relu")(L.Conv2D(4, 3)(x)) + SHIFT,
        "'relu' (ReLU) lets no shift pass",
    ),
    "resizing that smooths": (
        IMAGE,
        lambda x: bn()(L.Resizing(5, 5, antialias=True, name="up")(L.Dense(4)(x))),
        "or smooths",
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
        "a bias would have open axes",
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


# ---- split, composed, precomputed ----------------------------------------------------------------


def positive(model: Any) -> Any:
    """Gammas above zero."""
    layer = model.get_layer("bn")
    layer.gamma.assign(np.abs(layer.gamma.numpy()) + 0.1)
    return model


def test_the_scale_is_hoisted_and_the_shift_sunk() -> None:
    def rest(x: Any) -> Any:
        y = bn()(L.Conv2D(4, 3, activation="relu")(x))
        return L.Conv2D(6, 3)(L.Add()([y, tanh(L.Conv2D(4, 3)(x))]))

    model = positive(build(IMAGE, rest))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


def test_the_shift_is_hoisted_and_the_scale_sunk() -> None:
    def rest(x: Any) -> Any:
        y = bn()(L.Add()([L.Softmax()(x), L.Conv2D(4, 1)(x)]))
        return L.Conv2D(6, 3, padding="same")(y)

    model = positive(build(IMAGE, rest))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("part, rest", [
    ("scale", lambda x: L.Softmax()(bn()(L.Conv2D(4, 3, activation="relu", name="conv")(x)))),
    ("scale", lambda x: L.Conv2D(4, 3, padding="same", name="conv")(bn()(tanh(x)))),
    ("shift", lambda x: L.Softmax()(bn()(L.Add()([tanh(x), L.Conv2D(4, 1, name="conv")(x)])))),
    ("shift", lambda x: L.Softmax()(L.Add()([bn()(tanh(x)), L.Conv2D(4, 1, name="conv")(x)]))),
])  # fmt: skip
def test_one_part_goes_and_the_other_is_precomputed(part: str, rest: Rest) -> None:
    model = positive(build(IMAGE, rest))
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert reduction.precomputed == 1
    [kept] = reduction.kept
    assert kept.layer == "bn"
    assert kept.reason.startswith(f"its {part} went into conv; ")
    left = reduction.model.get_layer("bn")
    assert isinstance(left, L.Rescaling)
    one = left.scale if part == "scale" else left.offset
    assert np.all(np.asarray(one) == (1 if part == "scale" else 0))
    assert_same(model, reduction.model)


def test_a_zero_scale_keeps_the_shift_where_it_is() -> None:
    model = build(IMAGE, lambda x: L.Conv2D(4, 3, padding="same")(bn()(tanh(x))))
    reduction = reduce(model)  # some gammas are zero: shift / scale is not finite
    assert reduction.precomputed == 1
    assert "went into" not in reduction.kept[0].reason
    assert_same(model, reduction.model)


def test_neighbours_become_one() -> None:
    def rest(x: Any) -> Any:
        y = L.Rescaling(2.0, -1.0, name="first")(tanh(x))
        y = L.Dropout(0.3)(y) * MIXED + SHIFT
        return L.Softmax()(bn()(y))

    model = build(IMAGE, rest)
    reduction = reduce(model)
    assert [type(x) for x in reduction.model.operations].count(L.Rescaling) == 1
    assert operations(reduction.model) == []
    assert [kept.layer for kept in reduction.kept] == ["bn"]
    assert_same(model, reduction.model)


def test_neighbours_become_one_that_can_go() -> None:
    model = build(IMAGE, lambda x: L.Conv2D(6, 3)(bn()(L.Rescaling(2.0, -1.0)(x) * MIXED + SHIFT)))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


def test_on_different_axes_they_stay_apart() -> None:
    model = build(IMAGE, lambda x: L.Softmax()(bn()(L.BatchNormalization(axis=1)(tanh(x)))))
    reduction = reduce(model)
    assert reduction.precomputed == 2
    assert_same(model, reduction.model)


def test_what_is_left_can_be_saved(tmp_path: Any) -> None:
    model = build(IMAGE, lambda x: L.Softmax()(bn(axis=2)(tanh(x))))
    reduction = reduce(model)
    assert isinstance(reduction.model.get_layer("bn"), L.Rescaling)
    assert reduction.parameters[1] == 0
    reduction.model.save(tmp_path / "model.keras")
    assert_same(model, keras.models.load_model(tmp_path / "model.keras"))


@pytest.mark.parametrize("dtype", ["mixed_float16", "float64"])
def test_other_dtypes_are_not_precomputed(dtype: str) -> None:
    model = build(
        IMAGE, lambda x: L.Softmax()(bn(dtype=dtype)(L.Activation("tanh", dtype=dtype)(x)))
    )
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 1)
    assert_same(model, reduction.model, rtol=1e-3)


def test_a_normalization_at_several_places_is_not_precomputed() -> None:
    shared = bn()
    model = build(IMAGE, lambda x: L.Softmax()(shared(tanh_end(shared(tanh(x))))))
    reduction = reduce(model)
    assert reduction.batchnorms == (1, 1)
    assert_same(model, reduction.model)


def test_a_masked_normalization_hands_its_mask_on() -> None:
    def rest(x: Any) -> Any:
        return L.GRU(3)(bn()(L.Activation("tanh")(L.Masking()(x))))

    model = build(LINE, rest)
    reduction = reduce(model)
    assert isinstance(reduction.model.get_layer("bn"), L.Rescaling)
    values = np.random.default_rng(0).normal(size=(3, 9, 4)).astype("float32")
    values[1, 4:] = 0.0
    expected, actual = np.asarray(model(values)), np.asarray(reduction.model(values))
    assert np.abs(expected - actual).max() <= 2e-5


# ---- layers of keras.applications ---------------------------------------------------------------


def layer_class(network: str, name: str) -> Any:
    """A class that keras.applications uses and does not export."""
    return getattr(importlib.import_module(f"keras.src.applications.{network}"), name)


def test_a_layer_scale_goes_into_the_dense_layer_before_it() -> None:
    kind = layer_class("convnext", "LayerScale")
    model = build(IMAGE, lambda x: L.Add()([x, kind(1e-6, 4)(L.Dense(4)(x))]))
    reduction = reduce(model)
    assert not any(isinstance(x, kind) for x in reduction.model.layers)
    assert not reduction.kept
    assert_same(model, reduction.model)


@pytest.mark.parametrize("free", [True, False])
def test_a_scaled_residual(free: bool) -> None:
    kind = layer_class("inception_resnet_v2", "CustomScaleLayer")
    inner: Any = (lambda x: L.Conv2D(4, 1)(x)) if free else tanh
    model = build(IMAGE, lambda x: kind(0.17, name="scaled")([x, inner(x)]))
    reduction = reduce(model)
    assert isinstance(reduction.model.get_layer("scaled"), L.Add if free else kind)
    assert [kept.layer for kept in reduction.kept] == ([] if free else ["scaled"])
    assert bool(reduction.rewrites) is free
    assert_same(model, reduction.model)


# ---- constants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [
    np.ones((1, 1, 1, 1, 4), "float32"),  # makes the result larger
    np.arange(32, dtype="float32").reshape(8, 1, 4),  # along two axes
    np.arange(10, dtype="float32").reshape(10, 1),  # a sum that Keras may take for another axis
])  # fmt: skip
def test_constants_that_are_no_affine_are_left_alone(constant: np.ndarray) -> None:
    model = build(IMAGE, lambda x: L.Dense(3)(tanh(x) + constant))
    reduction = reduce(model)
    assert operations(reduction.model) == ["Add"]
    assert_same(model, reduction.model)


def test_a_constant_along_another_axis() -> None:
    rows = np.arange(1, 9, dtype="float32").reshape(8, 1, 1)
    model = build(IMAGE, lambda x: L.Softmax()(tanh(x) * rows * rows))
    reduction = reduce(model)
    assert operations(reduction.model) == []
    assert_same(model, reduction.model)


def test_an_integer_input_is_not_rescaled_later() -> None:
    image = keras.Input(IMAGE, dtype="uint8")
    model = randomize(keras.Model(image, L.Conv2D(6, 3)(L.Rescaling(0.1, name="scale")(image))))
    reduction = reduce(model)
    assert "it returns float32 of shape" in reduction.kept[0].reason
    values = np.random.default_rng(0).integers(0, 255, (2, *IMAGE)).astype("uint8")
    assert np.array_equal(np.asarray(model(values)), np.asarray(reduction.model(values)))


def test_an_identity_in_disguise_goes() -> None:
    model = build(IMAGE, lambda x: L.Softmax()(L.Rescaling(1.0)(tanh(x)) * 1.0))
    reduction = reduce(model)
    assert len(reduction.model.operations) == len(model.operations) - 2
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


def test_a_normalization_that_follows_itself() -> None:
    shared, conv = bn(), L.Conv2D(4, 1)
    model = build(IMAGE, lambda x: L.Dense(2)(shared(conv(shared(tanh(x))))))
    reduction = reduce(model)
    assert_gone(reduction)
    assert_same(model, reduction.model)


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


# ---- biases --------------------------------------------------------------------------------------

FEWER: dict[str, tuple[tuple[int, ...], int, Rest]] = {
    "a sum": (IMAGE, 1, lambda x: L.Add()([L.Conv2D(4, 3)(x), L.Conv2D(4, 3)(tanh(x))])),
    "a sum of four": (
        IMAGE,
        1,
        lambda x: L.Add()([L.Conv2D(4, 3)(f(x)) for f in (tanh, tanh_end, L.ReLU(), L.Softmax())]),
    ),
    "through a pooling": (
        IMAGE,
        1,
        lambda x: L.Add()([L.AveragePooling2D(3, 1)(L.Conv2D(4, 1)(x)), L.Conv2D(4, 3)(x)]),
    ),
    "into the next kernel": (
        IMAGE,
        1,
        lambda x: L.Conv2D(4, 3)(L.AveragePooling2D(2)(L.Dense(4)(x))),
    ),
    "distributed": (
        (3, *IMAGE),
        1,
        lambda x: L.Add()([L.TimeDistributed(L.Conv2D(4, 3))(y) for y in (x, tanh(x))]),
    ),
    "none to take it": (IMAGE, 1, lambda x: L.Add()([L.Conv2D(4, 1)(x), tanh(x)])),
    "one without": (
        IMAGE,
        1,
        lambda x: L.Add()([L.Conv2D(4, 1)(x), L.Conv2D(4, 1, use_bias=False)(tanh(x))]),
    ),
    "active": (
        IMAGE,
        2,
        lambda x: L.Add()([L.Conv2D(4, 1, activation="relu")(x), L.Conv2D(4, 1)(x)]),
    ),
    "padding": (IMAGE, 2, lambda x: L.Conv2D(4, 3, padding="same")(L.Dense(4)(x))),
    "shared": (IMAGE, 1, lambda x: [L.Add()([c(x), c(tanh(x))]) for c in [L.Conv2D(4, 1)]]),
    "einsum": (
        LINE,
        1,
        lambda x: L.Dense(4)(x) + L.EinsumDense("abc,cd->abd", (9, 4), bias_axes="d")(x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FEWER)
def test_of_several_biases_one_is_left(case: str) -> None:
    shape, left, rest = FEWER[case]
    model = build(shape, rest)
    reduction = reduce(model)
    biases = [w for x in reduction.model.layers for w in x.weights if w.name == "bias"]
    assert len(biases) == left
    gone = sum(w.name == "bias" for x in model.layers for w in x.weights) - left
    assert [x.layers for x in reduction.rewrites] == [()] * gone
    assert ("a bias -> " in reduction.summary()) is bool(gone)
    assert_same(model, reduction.model)


def test_a_bias_that_is_seen_elsewhere_stays() -> None:
    image = keras.Input(IMAGE)
    first, second = L.Conv2D(4, 1)(image), L.Conv2D(4, 1)(tanh(image))
    total = L.Add()([first, second])
    for ends in ([total, first, second], [total, L.Softmax()(first), L.Softmax()(second)]):
        model = randomize(keras.Model(image, ends))
        reduction = reduce(model)
        assert not reduction.rewrites
        assert_same(model, reduction.model)


# ---- sums of equal terms -------------------------------------------------------------------------


def pool(**arguments: Any) -> Any:
    return L.AveragePooling2D(3, 1, **{"padding": "same", **arguments})


def twice(x: Any) -> Any:
    return L.Add()([x, x])


EQUAL: dict[str, Rest] = {
    "one tensor": lambda x: L.Add()([x, x, x]),
    "plus": lambda x: x + x,
    "poolings": lambda x: L.Add()([pool()(x), pool()(x)]),
    "maxima": lambda x: L.MaxPooling2D(2)(x) + L.MaxPooling2D(2)(x),
    "normalized": lambda x: twice(bn()(x)),
}
UNEQUAL: dict[str, Rest] = {
    "other settings": lambda x: L.Add()([pool()(x), L.AveragePooling2D(5, 1, padding="same")(x)]),
    "other layers": lambda x: L.Add()([pool()(x), L.MaxPooling2D(3, 1, padding="same")(x)]),
    "other inputs": lambda x: L.Add()([pool()(x), pool()(L.Softmax()(x))]),
    "weights": lambda x: L.Add()([L.PReLU()(x), L.PReLU()(x)]),
    "noise": lambda x: L.Add()(
        [L.Dropout(0.0)(x, training=True), L.Dropout(0.0)(x, training=True)]
    ),
    "one more": lambda x: L.Add()([pool()(x), pool()(x), x]),
    "half": lambda x: L.Add(dtype="float16")([x, x]),
}


@pytest.mark.parametrize("case", EQUAL)
def test_a_sum_of_equal_terms_is_an_affine(case: str) -> None:
    model = build(IMAGE, lambda x: L.Conv2D(6, 3, padding="same")(EQUAL[case](tanh(x))))
    if case == "normalized":
        positive(model)
    reduction = reduce(model)
    kinds = [type(x).__name__ for x in reduction.model.operations]
    assert "Add" not in kinds
    assert kinds.count("AveragePooling2D") + kinds.count("MaxPooling2D") <= 1
    assert (L.Rescaling in map(type, reduction.model.layers)) is (case == "normalized")
    assert_same(model, reduction.model)


@pytest.mark.parametrize("case", UNEQUAL)
def test_sums_of_other_terms_stay(case: str) -> None:
    model = build(IMAGE, lambda x: L.Conv2D(6, 3, padding="same")(UNEQUAL[case](tanh(x))))
    reduction = reduce(model)
    assert any(isinstance(x, L.Add) for x in reduction.model.layers)
    if case != "half":
        assert_same(model, reduction.model)


def test_a_masked_sum_keeps_its_mask() -> None:
    def rest(x: Any) -> Any:
        x = L.Masking()(x)
        return L.GRU(3)(L.Add()([x, x]))

    assert not reduce(build(LINE, rest)).rewrites


def test_a_sum_of_equal_terms_that_names_an_output() -> None:
    image = keras.Input(IMAGE)
    model = randomize(keras.Model(image, L.Add(name="sum")([image, image])))
    reduction = reduce(model)
    assert reduction.model.output_names == ["sum"]
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
