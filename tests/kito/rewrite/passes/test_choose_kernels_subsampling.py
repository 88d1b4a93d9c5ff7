"""Padding, cropping and a pooling of one element become one depthwise convolution, to the bit."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, feed, outputs, randomize

import kito

L = keras.layers
pytestmark = pytest.mark.backends("tensorflow")

GEOMETRY = (L.ZeroPadding2D, L.Cropping2D, L.AveragePooling2D, L.MaxPooling2D)


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(randomize(model), passes=("choose_kernels",))


def geometry(model: Any) -> list[str]:
    return [type(x).__name__ for x in model.layers if isinstance(x, GEOMETRY)]


def assert_identical(a: Any, b: Any, size: int = 8) -> None:
    for x, y in zip(outputs(a, feed(a, size=size)), outputs(b, feed(b, size=size)), strict=True):
        np.testing.assert_array_equal(x, y)
        assert np.any(x)


def shifted(x: Any, pooling: Any, zeros: Any = (0, 1), cut: Any = (1, 0)) -> Any:
    x = L.ZeroPadding2D((zeros, zeros), name="pad")(x)
    return pooling(L.Cropping2D((cut, cut), name="crop")(x))


def pool(**kwargs: Any) -> Any:
    return L.AveragePooling2D(1, **{"strides": 2, "name": "pool", **kwargs})


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kind", [L.AveragePooling2D, L.MaxPooling2D])
@pytest.mark.parametrize("height, width", list(itertools.product([7, 8], [4, 5])))
def test_factorized_reduction(kind: Any, padding: str, height: int, width: int) -> None:
    image = keras.Input((height, width, 3))
    pooling = kind(1, strides=2, padding=padding, name="pool")
    reduction = reduce(keras.Model(image, shifted(image, pooling)))
    # With one mode for both axes: an odd size needs the zero that 'same' puts after it.
    assert geometry(reduction.model) == []
    assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("pad", "crop"), "pool"),)
    assert_identical(reduction.original, reduction.model)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [9, 10, 11])
@pytest.mark.parametrize("zeros", [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 3)])
@pytest.mark.parametrize("cut", [(0, 0), (1, 0), (0, 1), (2, 0), (2, 1)])
def test_any_offset(stride: int, size: int, zeros: Any, cut: Any) -> None:
    """Whatever is rewritten is right, and what can be is: an offset within the stride is."""
    image = keras.Input((size, size, 2))
    x = shifted(image, pool(strides=stride), zeros, cut)
    reduction = reduce(keras.Model(image, x))
    rewritten = bool(reduction.rewrites)
    assert rewritten is (geometry(reduction.model) == [])
    assert_identical(reduction.original, reduction.model)
    offset = cut[0] - zeros[0]
    if stride == 1 or offset >= stride:
        assert not rewritten
    if stride > 1 and 0 <= offset < stride and x.shape[1] == -(-(size - offset) // stride):
        assert rewritten


@pytest.mark.parametrize("alone", ["pad", "crop"])
def test_one_of_the_two(alone: str) -> None:
    image = keras.Input((9, 9, 3))
    x = L.ZeroPadding2D(((0, 1), (0, 1)))(image) if alone == "pad" else L.Cropping2D(1)(image)
    reduction = reduce(keras.Model(image, pool()(x)))
    assert geometry(reduction.model) == []
    assert_identical(reduction.original, reduction.model)


def test_a_pooling_alone_stays() -> None:
    image = keras.Input((8, 8, 3))
    assert not reduce(keras.Model(image, pool()(image))).rewrites


@pytest.mark.parametrize("seen", ["pad", "crop"])
@pytest.mark.parametrize("how", ["output", "user"])
def test_what_something_else_reads_stays(seen: str, how: str) -> None:
    image = keras.Input((8, 8, 3))
    pad = L.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(image)
    crop = L.Cropping2D(((1, 0), (1, 0)), name="crop")(pad)
    other = pad if seen == "pad" else crop
    second = other if how == "output" else L.Conv2D(2, 3)(other)
    reduction = reduce(keras.Model(image, [pool()(crop), second]))
    if seen == "pad":
        assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("crop",), "pool"),)
    else:
        assert not reduction.rewrites
    assert_same(reduction.original, reduction.model)


def test_several_users_and_an_output_name() -> None:
    image = keras.Input((9, 9, 3))
    x = shifted(image, pool())
    model = keras.Model(image, {"pool": x, "conv": L.Conv2D(4, 1, name="conv")(x)})
    reduction = reduce(model)
    assert geometry(reduction.model) == []
    assert reduction.model.output_names == model.output_names
    assert_same(model, reduction.model)


def test_shared_layers() -> None:
    shared, image = pool(), keras.Input((8, 8, 3))
    x = L.Add()([shifted(image, shared), shared(L.Conv2D(3, 1)(image))])
    reduction = reduce(keras.Model(image, x))
    assert geometry(reduction.model) == ["AveragePooling2D"]
    assert_same(reduction.original, reduction.model)


def test_nested_and_sequential() -> None:
    row = [L.ZeroPadding2D(((0, 1), (0, 1))), L.Cropping2D(((1, 0), (1, 0))), pool()]
    inner = keras.Sequential([keras.Input((9, 9, 3)), *row])
    image = keras.Input((9, 9, 3))
    reduction = reduce(keras.Model(image, L.Conv2D(2, 3)(inner(image))))
    assert len(reduction.rewrites) == 1
    assert_same(reduction.original, reduction.model)


@pytest.mark.parametrize(
    "why, shape, settings",
    [
        ("open sizes", (None, None, 3), {}),
        ("unequal strides", (8, 4, 3), {"strides": (2, 3)}),  # as many outputs as with 2
        ("a window", (8, 8, 3), {"pool_size": 2}),
        ("float16", (8, 8, 3), {"dtype": "mixed_float16"}),
    ],
)
def test_refuses(why: str, shape: Any, settings: dict[str, Any]) -> None:
    image = keras.Input(shape)
    pooling = L.AveragePooling2D(**{"pool_size": 1, "strides": 2, **settings})
    reduction = reduce(keras.Model(image, shifted(image, pooling)))
    assert not reduction.rewrites, why
    assert_same(reduction.original, reduction.model)


def test_refuses_channels_first() -> None:
    image = keras.Input((1, 9, 9))  # the one channel could pass for a row
    first = {"data_format": "channels_first"}
    x = L.ZeroPadding2D(((0, 1), (0, 1)), **first)(image)
    x = pool(**first)(L.Cropping2D(((1, 0), (1, 0)), **first)(x))
    assert not kito.reduce(keras.Model(image, x), passes=("choose_kernels",)).rewrites


def test_padding_after_cropping_is_no_shift() -> None:
    """What was cropped is zero then, so only the padding goes."""
    image = keras.Input((8, 8, 3))
    x = L.Cropping2D(((1, 0), (1, 0)), name="crop")(image)
    x = pool()(L.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x))
    reduction = reduce(keras.Model(image, x))
    assert "Cropping2D" in geometry(reduction.model)
    assert_identical(reduction.original, reduction.model)


def test_survives_saving(tmp_path: Any) -> None:
    image = keras.Input((9, 9, 3))
    reduction = reduce(keras.Model(image, shifted(image, pool())))
    assert reduction.model.trainable_weights == []
    reduction.model.save(tmp_path / "model.keras")
    assert_identical(reduction.original, keras.saving.load_model(tmp_path / "model.keras"))
