"""Strides move up past what works on single positions, and the function stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from kito_models import assert_same, randomize

import kito

L = keras.layers
Rest = Callable[[Any], Any]
IMAGE = (9, 8, 4)


def model_of(rest: Rest, shape: tuple[int | None, ...] = IMAGE) -> Any:
    image = keras.Input(shape)
    return randomize(keras.Model(image, L.Activation("tanh")(rest(image))))


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("move_strides",))


def kinds(model: keras.Model) -> list[str]:
    """The types of its layers, without the input and the activation at the end."""
    return [type(x).__name__ for x in model.layers[1:-1]]


def conv(filters: int = 6, kernel: Any = 3, strides: Any = 1, **more: Any) -> Any:
    return L.Conv2D(filters, kernel, strides, **more)


MOVED: dict[str, tuple[tuple[int | None, ...], Rest, list[str]]] = {
    "past a relu": (
        IMAGE,
        lambda x: conv(3, 1, 2)(L.ReLU()(conv()(x))),
        ["Conv2D", "ReLU", "Conv2D"],
    ),
    "past nothing, with its activation": (
        IMAGE,
        lambda x: conv(3, 1, 2, activation="relu")(conv(activation="gelu")(x)),
        ["Conv2D", "Conv2D"],
    ),
    "to one that pads otherwise": (
        (8, 8, 4),
        lambda x: conv(3, 1, 2)(conv(padding="same")(x)),
        ["ZeroPadding2D", "Conv2D", "Conv2D"],
    ),
    "to one that pads alike": (
        (9, 9, 4),
        lambda x: conv(3, 1, 2)(conv(padding="same")(x)),
        ["Conv2D", "Conv2D"],
    ),
    "to one with a stride": (
        (11, 12, 4),
        lambda x: conv(3, 1, (1, 2))(conv(6, 3, (2, 1), padding="same")(x)),
        ["ZeroPadding2D", "Conv2D", "Conv2D"],
    ),
    "on to the next": (
        (16, 16, 4),
        lambda x: conv(3, 1, 2)(L.ReLU()(conv(8, 1)(L.ReLU()(conv(padding="same")(x))))),
        ["ZeroPadding2D", "Conv2D", "ReLU", "Conv2D", "ReLU", "Conv2D"],
    ),
    "to a depthwise one": (
        IMAGE,
        lambda x: conv(3, 1, 2)(L.DepthwiseConv2D(3)(x)),
        ["DepthwiseConv2D", "Conv2D"],
    ),
    "past a normalization": (
        IMAGE,
        lambda x: conv(3, 1, 2)(L.ReLU()(L.BatchNormalization()(conv()(x)))),
        ["Conv2D", "BatchNormalization", "ReLU", "Conv2D"],
    ),
    "of a pooling of one element": (
        IMAGE,
        lambda x: L.MaxPooling2D(1, 2)(L.ReLU()(conv()(x))),
        ["Conv2D", "ReLU"],
    ),
    "of two readers": (
        IMAGE,
        lambda x: (lambda y: L.Add()([conv(3, 1, 2)(y), conv(3, 1, 2)(y)]))(conv()(x)),
        ["Conv2D", "Conv2D", "Conv2D", "Add"],
    ),
    "open sizes": (
        (None, None, 4),
        lambda x: conv(3, 1, 2)(L.ReLU()(conv(padding="same")(x))),
        ["ZeroPadding2D", "Conv2D", "ReLU", "Conv2D"],
    ),
    "sequence": (
        (11, 4),
        lambda x: L.Conv1D(3, 1, 3)(L.ReLU()(L.Conv1D(5, 4, padding="same")(x))),
        ["ZeroPadding1D", "Conv1D", "ReLU", "Conv1D"],
    ),
    "volume": (
        (6, 6, 6, 2),
        lambda x: L.Conv3D(3, 1, 2)(L.Conv3D(5, 3, padding="same")(x)),
        ["ZeroPadding3D", "Conv3D", "Conv3D"],
    ),
}


@pytest.mark.parametrize("case", MOVED)
def test_moves(case: str) -> None:
    shape, rest, left = MOVED[case]
    model = model_of(rest, shape)
    reduction = reduce(model)

    assert kinds(reduction.model) == left
    assert {x.pass_name for x in reduction.rewrites} == {"move_strides"}
    for size in (8, 9):
        assert_same(model, reduction.model, size=size)
    assert_same(model, kito.reduce(model).model)


def block(x: Any, filters: int) -> Any:
    """A block of a ResNet, whose first convolution has its stride."""
    y = conv(4, 1)(x)
    y = L.ReLU()(L.BatchNormalization()(y))
    y = L.ReLU()(L.BatchNormalization()(conv(4, 3, padding="same")(y)))
    return L.ReLU()(L.Add()([L.BatchNormalization()(conv(filters, 1)(y)), x]))


def test_the_last_block_of_a_stage_is_computed_where_the_next_stage_reads() -> None:
    def network(x: Any) -> Any:
        x = block(conv(8, 3, padding="same")(x), 8)
        return L.Add()([conv(16, 1, 2)(x), conv(16, 3, padding="same")(conv(4, 1, 2)(x))])

    model = model_of(network, (16, 16, 3))
    reduction = kito.reduce(model)
    strides = [x.strides[0] for x in reduction.model.layers if isinstance(x, L.Conv2D)]
    assert strides == [1, 1, 2, 1, 1, 1, 1]
    [pool] = [x for x in reduction.model.layers if isinstance(x, L.MaxPooling2D)]
    assert (pool.pool_size, pool.strides) == ((1, 1), (2, 2))
    assert reduction.batchnorms[1] == 0
    assert_same(model, reduction.model)


def read_by(x: Any, *readers: Any) -> Any:
    return L.Concatenate()([L.Flatten()(reader(x)) for reader in readers])


STAYED: dict[str, Rest] = {
    "another reader": lambda x: read_by(conv()(x), conv(3, 1, 2), conv(3, 1)),
    "other strides": lambda x: read_by(conv()(x), conv(3, 1, (2, 4)), conv(3, 1, (1, 4))),
    "larger window": lambda x: conv(3, 2, 2)(conv()(x)),
    "no convolution": lambda x: conv(3, 1, 2)(L.ReLU()(x)),
    "softmax": lambda x: conv(3, 1, 2)(L.Activation("softmax")(conv()(x))),
    "dilation": lambda x: conv(3, 1, 2)(conv(dilation_rate=2)(x)),
    "depthwise, unequal": lambda x: conv(3, 1, (1, 2))(L.DepthwiseConv2D(3)(x)),
    "a pooling": lambda x: conv(3, 1, 2)(L.AveragePooling2D(2, 1)(x)),
    "broadcast": lambda x: conv(3, 1, 2)(L.Add()([conv()(x), conv(6, (9, 3))(x)])),
}


@pytest.mark.parametrize("case", STAYED)
def test_stays(case: str) -> None:
    model = model_of(STAYED[case])
    reduction = reduce(model)
    assert reduction.rewrites == ()


def test_what_the_model_returns_is_computed_whole() -> None:
    image = keras.Input(IMAGE)
    x = L.ReLU()(conv()(image))
    model = randomize(keras.Model(image, [x, conv(3, 1, 2)(x)]))
    assert reduce(model).rewrites == ()


def test_a_layer_that_is_called_twice_keeps_its_strides() -> None:
    shared = conv(4, 3, padding="same")
    model = model_of(lambda x: conv(3, 1, 2)(L.ReLU()(shared(shared(x)))))
    assert reduce(model).rewrites == ()


def test_a_sequential_model_stays_one() -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), conv(4, 3, padding="same"), L.ReLU(), conv(5, 1, 2)]
    )
    reduction = reduce(randomize(model))
    assert isinstance(reduction.model, keras.Sequential)
    assert_same(model, reduction.model)


def test_passes_that_follow_see_the_strides_as_they_are_now() -> None:
    model = model_of(lambda x: conv(3, 1, 2)(conv(4, 1)(L.ReLU()(conv(12, 1)(x)))))
    order = ("move_strides", "collapse_linear", "choose_kernels", "absorb_padding")
    reduction = kito.reduce(model, passes=order)
    assert {"move_strides", "collapse_linear"} == {x.pass_name for x in reduction.rewrites}
    assert_same(model, reduction.model)
