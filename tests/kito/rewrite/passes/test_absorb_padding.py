"""ZeroPadding before a convolution becomes its own, where the zeros are the same."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import pytest
from kito_models import assert_same, randomize

import kito

L = keras.layers


def pads(kernel: int, stride: int, dilation: int, size: int) -> tuple[int, int]:
    """What ``same`` pads, counted: TensorFlow's rule, written out anew."""
    outputs = (size + stride - 1) // stride
    last_read = (outputs - 1) * stride + dilation * (kernel - 1)
    total = max(last_read + 1 - size, 0)
    return total // 2, (total + 1) // 2


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(randomize(model), passes=("absorb_padding",))


def has_padding(model: Any) -> bool:
    return any("ZeroPadding" in type(x).__name__ for x in model.layers)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [7, 8])
def test_conv2d(kernel: int, stride: int, size: int) -> None:
    image = keras.Input((size, 6, 3))
    zeros = (pads(kernel, stride, 1, size), pads(2, stride, 1, 6))
    x = L.ZeroPadding2D(zeros, name="pad")(image)
    model = keras.Model(image, L.Conv2D(4, (kernel, 2), stride, name="conv")(x))
    reduction = reduce(model)
    assert not has_padding(reduction.model)
    assert reduction.rewrites == (kito.Rewrite("absorb_padding", ("pad",), "conv"),)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("before, after", list(itertools.product(range(3), range(3))))
def test_only_the_zeros_of_same(before: int, after: int) -> None:
    image = keras.Input((8, 3))
    model = keras.Model(image, L.Conv1D(4, 3, 2)(L.ZeroPadding1D((before, after))(image)))
    reduction = reduce(model)
    assert has_padding(reduction.model) is ((before, after) != pads(3, 2, 1, 8))
    assert_same(model, reduction.model)


LAYERS: dict[str, tuple[tuple[int, ...], Any, Any]] = {
    "conv1d, dilated": ((9, 3), L.ZeroPadding1D(2), lambda: L.Conv1D(4, 3, dilation_rate=2)),
    "conv2d, dilated": ((9, 8, 3), L.ZeroPadding2D(2), lambda: L.Conv2D(4, 3, dilation_rate=2)),
    "conv2d, even dilated": (
        (9, 8, 3),
        L.ZeroPadding2D(((1, 2), (1, 2))),
        lambda: L.Conv2D(4, 2, dilation_rate=3),
    ),
    "conv3d": ((5, 6, 5, 3), L.ZeroPadding3D(1), lambda: L.Conv3D(4, 3)),
    "depthwise": ((9, 8, 3), L.ZeroPadding2D(1), lambda: L.DepthwiseConv2D(3, depth_multiplier=2)),
    "depthwise, strided": (
        (8, 8, 3),
        L.ZeroPadding2D(((0, 1), (0, 1))),
        lambda: L.DepthwiseConv2D(3, 2),
    ),
    "depthwise, dilated": (
        (8, 9, 3),
        L.ZeroPadding2D(2),
        lambda: L.DepthwiseConv2D(3, dilation_rate=2),
    ),
    "depthwise1d": ((9, 3), L.ZeroPadding1D(1), lambda: L.DepthwiseConv1D(3)),
    "separable": (
        (8, 8, 3),
        L.ZeroPadding2D(((1, 2), (1, 2))),
        lambda: L.SeparableConv2D(4, 5, 2),
    ),
    "separable1d": ((9, 3), L.ZeroPadding1D(2), lambda: L.SeparableConv1D(4, 5)),
    "open sizes, stride 1": ((None, None, 3), L.ZeroPadding2D(1), lambda: L.Conv2D(4, 3)),
}


@pytest.mark.parametrize("case", LAYERS)
def test_other_layers(case: str) -> None:
    shape, padding, make = LAYERS[case]
    image = keras.Input(shape)
    model = keras.Model(image, make()(padding(image)))
    reduction = reduce(model)
    assert not has_padding(reduction.model)
    assert_same(model, reduction.model)


def stays(rest: Any, shape: tuple[int | None, ...] = (8, 8, 3)) -> None:
    image = keras.Input(shape)
    model = keras.Model(image, rest(image))
    reduction = reduce(model)
    assert has_padding(reduction.model)
    assert not reduction.rewrites
    if None not in shape:
        assert_same(model, reduction.model)


def test_open_sizes_with_a_stride() -> None:
    padding = L.ZeroPadding2D(((0, 1), (0, 1)))
    stays(lambda x: L.Conv2D(4, 3, 2)(padding(x)), (None, None, 3))


def test_a_convolution_that_pads_already() -> None:
    stays(lambda x: L.Conv2D(4, 3, padding="same")(L.ZeroPadding2D(1)(x)))


def test_pooling() -> None:
    stays(lambda x: L.MaxPooling2D(3, 1)(L.ZeroPadding2D(1)(x)))


def test_another_data_format() -> None:
    stays(lambda x: L.Conv2D(4, 3)(L.ZeroPadding2D(1, data_format="channels_first")(x)), (8, 8, 8))


def test_an_output() -> None:
    stays(lambda x: [y for z in [L.ZeroPadding2D(1)(x)] for y in (z, L.Conv2D(4, 3)(z))])


def test_another_user() -> None:
    stays(lambda x: [f(z) for z in [L.ZeroPadding2D(1)(x)] for f in (L.ReLU(), L.Conv2D(4, 3))])


def test_a_cast() -> None:
    stays(lambda x: L.Conv2D(4, 3)(L.ZeroPadding2D(1, dtype="float16")(x)))


class MyConv(L.Conv2D):
    pass


def test_a_subclass() -> None:
    stays(lambda x: MyConv(4, 3)(L.ZeroPadding2D(1)(x)))


@pytest.mark.filterwarnings("ignore:Layer '(zero_padding|conv)1d")  # which drop the mask
def test_a_masked_sequence() -> None:
    steps = keras.Input((8, 3))
    padded = L.ZeroPadding1D(1)(L.Masking()(steps))
    reduction = reduce(keras.Model(steps, L.Conv1D(4, 3)(padded)))
    assert has_padding(reduction.model)


def test_several_convolutions_of_one_padding() -> None:
    image = keras.Input((8, 8, 3))
    padded = L.ZeroPadding2D(1)(image)
    model = keras.Model(image, [L.Conv2D(4, 3)(padded), L.DepthwiseConv2D(3)(padded)])
    reduction = reduce(model)
    assert not has_padding(reduction.model)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("other", [True, False])
def test_a_convolution_at_several_places(other: bool) -> None:
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    conv = L.Conv2D(3, 3)
    second = L.ZeroPadding2D(1)(b) if other else b
    model = keras.Model([a, b], [conv(L.ZeroPadding2D(1)(a)), conv(second)])
    reduction = reduce(model)
    assert has_padding(reduction.model) is not other
    assert_same(model, reduction.model)


def test_a_padding_that_stays_keeps_its_convolution_and_others() -> None:
    image = keras.Input((8, 8, 3))
    one, other = L.Conv2D(3, 3), L.Conv2D(3, 3)
    first, second, third = (L.ZeroPadding2D(1)(image) for _ in range(3))
    model = keras.Model(image, [one(first), one(second), other(second), other(third), third])
    reduction = reduce(model)
    assert not reduction.rewrites
    assert_same(model, reduction.model)


@pytest.mark.parametrize("sequential", [True, False])
def test_inside_nested_models(sequential: bool) -> None:
    layers = [L.ZeroPadding2D(1), L.Conv2D(3, 3), L.ReLU()]
    if sequential:
        inner: Any = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    else:
        x = inside = keras.Input((8, 8, 3))
        for layer in layers:
            x = layer(x)
        inner = keras.Model(inside, x)
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, inner(inner(image)))
    reduction = reduce(model)
    assert len(reduction.rewrites) == 1
    assert_same(model, reduction.model)


def test_an_affine_is_not_folded_past_what_pads_now() -> None:
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Activation("tanh")(image))
    x = L.Conv2D(4, 3)(L.ZeroPadding2D(1)(x))
    model = randomize(keras.Model(image, x))
    reduction = kito.reduce(model, passes=("absorb_padding", "fold_affine"))
    assert not has_padding(reduction.model)
    assert reduction.precomputed == 1
    assert_same(model, reduction.model)
