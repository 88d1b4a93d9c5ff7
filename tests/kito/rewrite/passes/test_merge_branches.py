"""Parallel convolutions become one: RepVGG, MobileOne, ACNet, RepLKNet; and what does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

import kito

L = keras.layers
Rest = Callable[[Any], Any]


def model_of(rest: Rest, shape: tuple[int | None, ...] = (8, 9, 4)) -> Any:
    image = keras.Input(shape)
    return randomize(keras.Model(image, L.ReLU()(rest(L.Activation("tanh")(image)))))


def convolutions(model: Any) -> list[Any]:
    return [x for x in model.layers if "Conv" in type(x).__name__]


def merged(rest: Rest, *args: Any, passes: Any = kito.DEFAULT_PASSES) -> kito.Reduction:
    """One convolution is left, and no sum."""
    model = model_of(rest, *args)
    reduction = kito.reduce(model, passes=passes)
    assert len(convolutions(reduction.model)) == 1
    names = {type(x).__name__ for x in reduction.model.operations}
    assert not names & {"Add", "BatchNormalization", "Rescaling", "AveragePooling2D"}
    assert not reduction.kept
    assert_same(model, reduction.model)
    return reduction


def apart(rest: Rest, *args: Any) -> None:
    model = model_of(rest, *args)
    reduction = kito.reduce(model, passes=("merge_branches",))
    assert not reduction.rewrites
    if None not in model.inputs[0].shape[1:]:
        assert_same(model, reduction.model)


# ---- blocks of the literature --------------------------------------------------------------------


def norm(x: Any) -> Any:
    return L.BatchNormalization()(x)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_repvgg(stride: int, size: int, groups: int) -> None:
    def block(x: Any) -> Any:
        options: dict[str, Any] = {"padding": "same", "use_bias": False, "groups": groups}
        branches = [
            norm(L.Conv2D(4, 3, stride, **options)(x)),
            norm(L.Conv2D(4, 1, stride, **options)(x)),
        ]
        return L.Add()([*branches, norm(x)] if stride == 1 else branches)

    merged(block, (size, size, 4))


def test_repvgg_as_in_torch() -> None:
    """Padded by one on every side, also where the stride is 2."""

    def block(x: Any) -> Any:
        three = norm(L.Conv2D(4, 3, 2, use_bias=False)(L.ZeroPadding2D(1)(x)))
        return L.Add()([three, norm(L.Conv2D(4, 1, 2, use_bias=False)(x))])

    reduction = merged(block, (8, 8, 4))
    assert any(isinstance(x, L.ZeroPadding2D) for x in reduction.model.layers)


@pytest.mark.parametrize("depthwise", [True, False])
def test_mobileone(depthwise: bool) -> None:
    def make(size: int) -> Any:
        if depthwise:
            return L.DepthwiseConv2D(size, padding="same", use_bias=False)
        return L.Conv2D(4, size, padding="same", use_bias=False)

    def block(x: Any) -> Any:
        big = [norm(make(3 if depthwise else 1)(x)) for _ in range(4)]
        total = norm(x)
        for branch in [norm(make(1)(x)), *big]:
            total = branch + total
        return total

    merged(block)


def test_acnet() -> None:
    def block(x: Any) -> Any:
        shapes = [(3, 3), (1, 3), (3, 1)]
        return L.Add()([norm(L.Conv2D(6, size, padding="same")(x)) for size in shapes])

    merged(block)


def test_replknet() -> None:
    def block(x: Any) -> Any:
        sizes = (13, 5)
        return L.Add()([norm(L.DepthwiseConv2D(size, padding="same")(x)) for size in sizes])

    merged(block, (16, 16, 4))


def test_diverse_branches() -> None:
    def block(x: Any) -> Any:
        pooled = L.AveragePooling2D(3, 2)(x)
        return L.Add()([L.Conv2D(4, 3, 2)(x), pooled])

    merged(block, (9, 9, 4))


# ---- alignment -----------------------------------------------------------------------------------

CASES = list(itertools.product((7, 8, 9), (1, 2, 3), ((3, 1), (3, 2), (5, 2), (4, 3), (2, 1))))


@pytest.mark.parametrize("size, stride, kernels", CASES)
def test_same_at_every_stride(size: int, stride: int, kernels: tuple[int, int]) -> None:
    """They merge where the smaller window lies inside of the larger; they are right anyway."""

    def rest(x: Any) -> Any:
        return L.Add()([L.Conv1D(3, k, stride, padding="same")(x) for k in kernels])

    model = model_of(rest, (size, 4))
    reduction = kito.reduce(model, passes=("merge_branches",))
    begins = [-(max((-(-size // stride) - 1) * stride + k - size, 0) // 2) for k in kernels]
    inside = begins[0] <= begins[1] and begins[1] + kernels[1] <= begins[0] + kernels[0]
    assert bool(reduction.rewrites) is inside
    assert_same(model, reduction.model)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_dilated_windows(padding: str) -> None:
    def rest(x: Any) -> Any:
        five = L.Conv1D(3, 5, padding=padding)(x)
        three = L.Conv1D(3, 3, dilation_rate=2, padding=padding)(x)
        return L.Add()([five, three])

    merged(rest, (12, 4))


def test_taps_between_those_of_a_dilated_base() -> None:
    def rest(x: Any) -> Any:
        wide = L.Conv1D(3, 3, dilation_rate=2, padding="same")(x)
        return L.Add()([wide, L.Conv1D(3, 2, padding="same")(x)])

    apart(rest, (12, 4))


def test_causal_windows() -> None:
    def rest(x: Any) -> Any:
        return L.Add()([L.Conv1D(3, k, padding="causal")(x) for k in (3, 1)])

    merged(rest, (12, 4))


def test_open_sizes() -> None:
    def rest(x: Any, stride: int) -> Any:
        return L.Add()([L.Conv2D(4, k, stride, padding="same")(x) for k in (3, 1)])

    model = model_of(lambda x: rest(x, 1), (None, None, 4))
    reduction = kito.reduce(model)
    assert len(convolutions(reduction.model)) == 1
    assert_same(model, reduction.model, size=7)
    assert_same(model, reduction.model, size=8)
    apart(lambda x: rest(x, 2), (None, None, 4))


def test_three_dimensions() -> None:
    merged(lambda x: L.Add()([L.Conv3D(4, 3, padding="same")(x), x]), (5, 4, 5, 4))


# ---- channels and groups -------------------------------------------------------------------------


def test_a_depthwise_branch_of_a_dense_base() -> None:
    merged(
        lambda x: L.Add()([L.Conv2D(4, 3, padding="same")(x), L.DepthwiseConv2D(1)(x)]),
    )


def test_finer_groups_of_a_grouped_base() -> None:
    def rest(x: Any) -> Any:
        base = L.Conv2D(8, 3, groups=2, padding="same")(x)
        return L.Add()([base, L.Conv2D(8, 1, groups=4)(x)])

    merged(rest, (8, 9, 8))


def test_coarser_groups_stay_apart() -> None:
    def rest(x: Any) -> Any:
        base = L.Conv2D(4, 3, groups=2, padding="same")(x)
        return L.Add()([base, L.Conv2D(4, 1)(x)])

    apart(rest)


def test_a_depth_multiplier() -> None:
    def rest(x: Any) -> Any:
        return L.Add()(
            [L.DepthwiseConv2D(k, depth_multiplier=2, padding="same")(x) for k in (3, 1)]
        )

    merged(rest)


def test_an_identity_that_is_repeated_over_the_channels() -> None:
    apart(lambda x: L.Add()([L.Conv2D(4, 3, padding="same")(x), x]), (8, 9, 1))


# ---- part of a sum -------------------------------------------------------------------------------


def test_other_operands_stay() -> None:
    def rest(x: Any) -> Any:
        other = L.Softmax()(x)
        return L.Add()([L.Conv2D(4, 3, padding="same")(x), other, L.Conv2D(4, 1)(x), x])

    model = model_of(rest)
    reduction = kito.reduce(model)
    assert len(convolutions(reduction.model)) == 1
    [total] = [x for x in reduction.model.layers if isinstance(x, L.Add)]
    assert len(total.input) == 2
    assert_same(model, reduction.model)


def test_a_precomputed_normalization_is_a_branch() -> None:
    """What fold_affine keeps is no longer kept when it has been merged."""

    def rest(x: Any) -> Any:
        return L.Add()([L.Conv2D(4, 3, padding="same")(x), norm(x)])

    model = model_of(rest)
    assert kito.reduce(model, passes=("fold_affine",)).precomputed == 1
    reduction = merged(rest)
    assert reduction.precomputed == 0


# ---- what is not a branch ------------------------------------------------------------------------


def shared_base(conv: Any, x: Any) -> Any:
    return L.Add()([conv(x), conv(L.ReLU()(x)), x])


APART: dict[str, Rest] = {
    "an activation": lambda x: L.Add()([L.Conv2D(4, 3, padding="same")(x), L.Dense(4)(x)]),
    "active": lambda x: L.Add()(
        [L.Conv2D(4, 1, activation="relu")(x), L.Conv2D(4, 1, activation="relu")(x)]
    ),
    "different inputs": lambda x: L.Add()([L.Conv2D(4, 1)(x), L.Conv2D(4, 1)(L.ReLU()(x))]),
    # Its window lies inside of that of the convolution, wherever it begins.
    "pooling that pads": lambda x: L.Add()(
        [L.Conv2D(4, 5, padding="same")(x), L.AveragePooling2D(3, 1, padding="same")(x)]
    ),
    "maxima": lambda x: L.Add()([L.Conv2D(4, 3)(x), L.MaxPooling2D(3, 1)(x)]),
    "different strides": lambda x: L.Add()(
        [L.Conv2D(4, 1, 2)(x), L.Conv2D(4, 5, padding="valid")(x)]
    ),
    "a shared base": lambda x: shared_base(L.Conv2D(4, 3, padding="same"), x),
    "another axis": lambda x: L.Add()(
        [L.Conv2D(4, 3, padding="same")(x), L.BatchNormalization(axis=1)(x)]
    ),
}


@pytest.mark.parametrize("case", APART)
def test_what_stays_apart(case: str) -> None:
    apart(APART[case])


@pytest.mark.parametrize("end", [L.ReLU(), lambda x: x], ids=["a layer", "the model's user"])
def test_a_branch_that_others_see(end: Any) -> None:
    image = keras.Input((8, 9, 4))
    x = L.Activation("tanh")(image)
    small = L.Conv2D(4, 1)(x)
    total = L.Add()([L.Conv2D(4, 3, padding="same")(x), small])
    model = randomize(keras.Model(image, [L.ReLU()(total), end(small)]))
    reduction = kito.reduce(model, passes=("merge_branches",))
    assert not reduction.rewrites


def test_sizes_that_are_broadcast() -> None:
    apart(lambda x: L.Add()([L.Conv2D(4, (8, 9))(x), L.Conv2D(4, 1)(x)]))


@pytest.mark.filterwarnings("ignore:Layer 'conv1d")  # which drops the mask
def test_a_masked_sum() -> None:
    steps = keras.Input((8, 4))
    x = L.Masking()(steps)
    model = randomize(keras.Model(steps, L.GRU(2)(L.Add()([L.Conv1D(4, 1)(x), x]))))
    assert not kito.reduce(model, passes=("merge_branches",)).rewrites


def test_names_of_outputs_stay() -> None:
    image = keras.Input((8, 9, 4))
    model = randomize(
        keras.Model(image, L.Add(name="sum")([L.Conv2D(4, 3, padding="same")(image), image]))
    )
    reduced = kito.reduce(model).model
    assert reduced.output_names == ["sum"]
    assert_same(model, reduced)


def test_a_sum_that_overflows_stays() -> None:
    def rest(x: Any) -> Any:
        return L.Add(dtype="float16")(
            [L.Conv2D(4, 1, use_bias=False, dtype="float16")(x) for _ in range(2)]
        )

    image = keras.Input((8, 9, 4), dtype="float16")
    model = keras.Model(image, rest(image))
    for layer in convolutions(model):
        layer.set_weights([np.full((1, 1, 4, 4), 6e4, "float16")])
    reduction = kito.reduce(model)
    assert not reduction.rewrites
