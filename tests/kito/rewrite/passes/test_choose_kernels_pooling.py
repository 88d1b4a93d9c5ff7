"""A global pooling keeps its axes, instead of a Reshape that brings them back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from kito_models import feed, outputs

import kito

L = keras.layers
POOLINGS: dict[str, tuple[tuple[int | None, ...], Any, tuple[int, ...]]] = {
    "average 2d": ((5, 4, 3), lambda: L.GlobalAveragePooling2D(name="pool"), (1, 1, 3)),
    "largest 2d": ((5, 4, 3), lambda: L.GlobalMaxPooling2D(name="pool"), (1, 1, 3)),
    "open sizes": ((None, None, 3), lambda: L.GlobalAveragePooling2D(name="pool"), (1, 1, 3)),
    "inferred": ((5, 4, 3), lambda: L.GlobalAveragePooling2D(name="pool"), (1, 1, -1)),
    "average 1d": ((5, 3), lambda: L.GlobalAveragePooling1D(name="pool"), (1, 3)),
    "largest 3d": ((2, 5, 4, 3), lambda: L.GlobalMaxPooling3D(name="pool"), (1, 1, 1, 3)),
    "channels first": (
        (3, 5, 4),
        lambda: L.GlobalAveragePooling2D(data_format="channels_first", name="pool"),
        (3, 1, 1),
    ),
    "one channel": ((5, 4, 1), lambda: L.GlobalAveragePooling2D(name="pool"), (1, 1, 1)),
}


def squeeze(shape: tuple[int | None, ...], pooling: Any, target: tuple[int, ...]) -> Any:
    image = keras.Input(shape)
    x = L.Reshape(target, name="reshape")(pooling(image))
    return keras.Model(image, L.Activation("sigmoid", name="gate")(x))


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("choose_kernels",))


def check_left(model: Any) -> None:
    assert reduce(model).rewrites == ()


@pytest.mark.parametrize("case", POOLINGS)
def test_the_axes_are_kept_and_the_outputs_are_the_same_bits(case: str) -> None:
    shape, make, target = POOLINGS[case]
    model = squeeze(shape, make(), target)
    reduction = reduce(model)
    assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("pool", "reshape"), "pool"),)
    assert [x.name for x in reduction.model.layers[1:]] == ["pool", "gate"]
    arrays = feed(model, size=6)
    for a, b in zip(outputs(model, arrays), outputs(reduction.model, arrays), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "target", [(3, 1, 1), (1, 3), (1, 1, 1, 3), (3,)], ids=lambda x: "x".join(map(str, x))
)
def test_another_shape_stays(target: tuple[int, ...]) -> None:
    check_left(squeeze((5, 4, 3), L.GlobalAveragePooling2D(), target))


def test_another_dtype_and_a_mask_stay() -> None:
    check_left(squeeze((5, 4, 3), L.GlobalAveragePooling2D(dtype="float64"), (1, 1, 3)))
    steps = keras.Input((5, 3))
    x = L.GlobalAveragePooling1D()(L.Masking()(steps))
    check_left(keras.Model(steps, L.Reshape((1, 3))(x)))


class MyPooling(L.GlobalAveragePooling2D):
    """May compute anything."""


def test_what_else_needs_the_pooling_or_may_compute_anything_stays() -> None:
    check_left(squeeze((5, 4, 3), MyPooling(), (1, 1, 3)))
    image = keras.Input((5, 4, 3))
    pooled = L.GlobalAveragePooling2D()(image)
    reshaped = L.Reshape((1, 1, 3))(pooled)
    check_left(keras.Model(image, [reshaped, pooled]))
    check_left(keras.Model(image, [reshaped, L.ReLU()(pooled)]))


def test_shared_layers_stay() -> None:
    pool, reshape = L.GlobalAveragePooling2D(), L.Reshape((1, 1, 3))
    images = [keras.Input((5, 4, 3)), keras.Input((5, 4, 3))]
    check_left(keras.Model(images, [L.Reshape((1, 1, 3))(pool(x)) for x in images]))
    check_left(keras.Model(images, [reshape(L.GlobalAveragePooling2D()(x)) for x in images]))


def test_outputs_keep_their_names_in_functional_and_sequential_models() -> None:
    image = keras.Input((5, 4, 3))
    x = L.Reshape((1, 1, 3), name="squeezed")(L.GlobalAveragePooling2D()(image))
    reduction = reduce(keras.Model(image, x))
    assert len(reduction.rewrites) == 1
    assert kito.graph.keras_internals.output_names(reduction.model) == ["squeezed"]
    rows = [keras.Input((5, 4, 3)), L.GlobalMaxPooling2D(name="pool"), L.Reshape((1, 1, 3))]
    reduced = reduce(keras.Sequential(rows)).model
    assert isinstance(reduced, keras.Sequential)
    assert [x.name for x in reduced.layers] == ["pool"]
