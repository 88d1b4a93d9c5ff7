"""The same function through another stock layer: convolutions and resizing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, feed, outputs, randomize

import kito
from kito.equivalence.float64 import copy_model
from kito.rewrite.passes.choose_kernels import resizing
from kito.rewrite.passes.choose_kernels.table import TABLE

L = keras.layers
pytestmark = pytest.mark.backends("tensorflow")


def around(shape: tuple[int | None, ...], *layers: Any) -> Any:
    x = image = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


def reduce(model: Any, target: str = "any") -> kito.Reduction:
    return kito.reduce(randomize(model), passes=("choose_kernels",), target=target)


def kinds(model: Any) -> list[type]:
    return [type(x) for x in model.layers[1:]]


def check_left(model: Any, target: str = "any") -> None:
    reduction = reduce(model, target)
    assert reduction.rewrites == ()
    assert kinds(reduction.model) == kinds(model)
    assert_same(model, reduction.model)


# ---- depthwise ---------------------------------------------------------------------------------

DEPTHWISE: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "plain": ((8, 7, 4), lambda: L.Conv2D(4, 3, groups=4, name="conv")),
    "same": ((8, 7, 4), lambda: L.Conv2D(4, (5, 2), padding="same", groups=4, name="conv")),
    "multiplier": ((8, 7, 4), lambda: L.Conv2D(12, 3, groups=4, name="conv")),
    "no bias": ((8, 7, 4), lambda: L.Conv2D(4, 3, groups=4, use_bias=False, name="conv")),
    "strided": ((8, 7, 4), lambda: L.Conv2D(8, 3, 2, padding="same", groups=4, name="conv")),
    "strided, valid": ((8, 9, 4), lambda: L.Conv2D(4, (2, 3), 3, groups=4, name="conv")),
    "dilated": ((9, 9, 4), lambda: L.Conv2D(4, 3, dilation_rate=2, groups=4, name="conv")),
    "dilated unequally": (
        (9, 9, 4),
        lambda: L.Conv2D(4, 3, padding="same", dilation_rate=(2, 3), groups=4, name="conv"),
    ),
    "activation": ((8, 7, 4), lambda: L.Conv2D(8, 3, groups=4, activation="softmax", name="conv")),
    "open size": ((None, None, 4), lambda: L.Conv2D(4, 3, padding="same", groups=4, name="conv")),
    "channels first": (
        (4, 8, 7),
        lambda: L.Conv2D(8, 3, groups=4, data_format="channels_first", name="conv"),
    ),
    "channels first, a size as the channels": (
        (4, 4, 4),
        lambda: L.Conv2D(4, 3, padding="same", groups=4, data_format="channels_first", name="conv"),
    ),
    "1d": ((9, 4), lambda: L.Conv1D(8, 3, padding="same", groups=4, name="conv")),
    "1d, strided": ((9, 4), lambda: L.Conv1D(4, 4, 3, padding="same", groups=4, name="conv")),
    "1d, dilated": ((9, 4), lambda: L.Conv1D(4, 3, dilation_rate=2, groups=4, name="conv")),
    "1d, channels first": (
        (4, 9),
        lambda: L.Conv1D(8, 3, 2, groups=4, data_format="channels_first", name="conv"),
    ),
}


@pytest.mark.parametrize("case", DEPTHWISE)
def test_a_group_for_each_channel_is_depthwise(case: str) -> None:
    shape, make = DEPTHWISE[case]
    model = around(shape, make())
    reduction = reduce(model)
    kind = L.DepthwiseConv1D if len(shape) == 2 else L.DepthwiseConv2D
    assert kinds(reduction.model) == [kind]
    assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("conv",), "conv"),)
    assert reduction.model.layers[-1].name == "conv"
    assert reduction.model.layers[-1].activation is model.layers[-1].activation
    assert_same(model, reduction.model)


NOT_DEPTHWISE: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "two channels a group": ((8, 7, 4), lambda: L.Conv2D(4, 3, groups=2)),
    "one channel": ((8, 7, 1), lambda: L.Conv2D(4, 3)),
    "one tap": ((8, 7, 4), lambda: L.Conv2D(4, 1, groups=4)),
    "unequal strides": ((8, 7, 4), lambda: L.Conv2D(4, 3, (1, 2), groups=4)),
    "a layer as activation": (
        (8, 7, 4),
        lambda: L.Conv2D(4, 3, groups=4, activation=L.PReLU()),
    ),
    "causal": ((9, 4), lambda: L.Conv1D(4, 3, padding="causal", groups=4)),
    "3d": ((5, 5, 5, 4), lambda: L.Conv3D(4, 3, groups=4)),
}


@pytest.mark.parametrize("case", NOT_DEPTHWISE)
def test_what_stays_a_convolution(case: str) -> None:
    shape, make = NOT_DEPTHWISE[case]
    check_left(around(shape, make()))


class Mine(L.Conv2D):
    """May compute anything."""


def test_a_subclass_stays() -> None:
    check_left(around((8, 7, 4), Mine(4, 3, groups=4)))


def test_lora_stays() -> None:
    conv = L.Conv2D(4, 3, groups=4)
    model = around((8, 7, 4), conv)
    conv.enable_lora(2)
    assert kito.reduce(model, passes=("choose_kernels",)).rewrites == ()


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_a_mask_ends_at_either() -> None:
    tokens = keras.Input((9,), dtype="int32")
    x = L.Embedding(5, 4, mask_zero=True)(tokens)
    model = keras.Model(tokens, L.LSTM(3)(L.Conv1D(4, 3, groups=4)(x)))
    reduction = reduce(model)
    assert len(reduction.rewrites) == 1
    assert_same(model, reduction.model)


def test_a_shared_layer_becomes_one_layer() -> None:
    conv = L.Conv2D(4, 3, padding="same", groups=4, name="conv")
    model = around((8, 7, 4), conv, L.ReLU(), conv)
    reduction = reduce(model)
    assert len(reduction.rewrites) == 1
    assert kinds(reduction.model) == [L.DepthwiseConv2D, L.ReLU]
    assert_same(model, reduction.model)


def test_inside_of_time_distributed_nested_and_sequential_models() -> None:
    def conv(name: str) -> Any:
        return L.Conv1D(4, 3, padding="same", groups=4, name=name)

    inner = keras.Sequential([keras.Input((9, 4)), conv("inner")], name="nested")
    model = keras.Sequential(
        [keras.Input((5, 9, 4)), L.TimeDistributed(conv("wrapped")), L.TimeDistributed(inner)]
    )
    reduction = reduce(model)
    assert isinstance(reduction.model, keras.Sequential)
    assert type(reduction.model.layers[0].layer) is L.DepthwiseConv1D
    assert [type(x) for x in reduction.model.layers[1].layer.layers] == [L.DepthwiseConv1D]
    assert_same(model, reduction.model)


@pytest.mark.parametrize("policy", ["float64", "mixed_float16", "bfloat16", "mixed_bfloat16"])
def test_policies(policy: str) -> None:
    model = around((8, 7, 4), L.Conv2D(8, 3, groups=4, activation="relu", dtype=policy))
    reduced = reduce(model).model
    (new,) = reduced.layers[1:]
    assert type(new) is L.DepthwiseConv2D
    assert new.dtype_policy.name == policy
    assert_same(model, reduced, rtol=1e-12 if policy == "float64" else 2e-2)


def test_what_is_frozen_or_regularized_stays_so() -> None:
    conv = L.Conv2D(4, 3, groups=4, kernel_regularizer="l2", bias_constraint="non_neg")
    conv.trainable = False
    model = around((8, 7, 4), conv)
    new = reduce(model).model.layers[-1]
    assert not new.trainable
    assert new.depthwise_regularizer is conv.kernel_regularizer
    assert new.bias_constraint is conv.bias_constraint


def test_with_what_other_passes_did() -> None:
    model = around(
        (8, 8, 4),
        L.ZeroPadding2D(1),
        L.Conv2D(8, 3, groups=4, use_bias=False, name="conv"),
        L.BatchNormalization(),
        L.ReLU(),
    )
    reduced = kito.reduce(randomize(model)).model
    assert kinds(reduced) == [L.DepthwiseConv2D, L.ReLU]
    assert_same(model, reduced)


def test_a_reduced_model_can_be_copied_and_saved(tmp_path: Path) -> None:
    model = randomize(
        around(
            (8, 8, 8),
            L.Conv2D(8, 3, padding="same", groups=8),
            L.LayerNormalization(),
            L.Conv2D(8, 3, padding="same", groups=2, activation="relu"),
            L.Conv2D(4, 3, groups=4),
            L.UpSampling2D(128),
        )
    )
    reduced = kito.reduce(model, target="cpu").model
    assert type(reduced.layers[-1]) is L.Resizing
    assert any(type(x).__name__ == "Split" for x in reduced.operations)
    reduced.save(tmp_path / "reduced.keras")
    loaded = keras.models.load_model(tmp_path / "reduced.keras")
    for other in (loaded, copy_model(reduced), kito.reduce(reduced, target="cpu").model):
        assert_same(model, other)
    assert outputs(copy_model(reduced, dtype="float64"), feed(model))[0].dtype == np.float64


# ---- several plain ones ------------------------------------------------------------------------

GROUPED: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "plain": ((8, 7, 6), lambda: L.Conv2D(4, 3, groups=2, name="conv")),
    "same, strided": (
        (8, 7, 6),
        lambda: L.Conv2D(9, 3, (2, 3), padding="same", groups=3, name="conv"),
    ),
    "dilated": ((9, 9, 6), lambda: L.Conv2D(9, 3, dilation_rate=2, groups=3, name="conv")),
    "no bias": ((8, 7, 6), lambda: L.Conv2D(4, 3, groups=2, use_bias=False, name="conv")),
    "activation": ((8, 7, 6), lambda: L.Conv2D(4, 3, groups=2, activation="gelu", name="conv")),
    "one tap": ((8, 7, 6), lambda: L.Conv2D(4, 1, groups=2, name="conv")),
    "open size": ((None, None, 6), lambda: L.Conv2D(4, 3, groups=2, name="conv")),
    "1d": ((9, 6), lambda: L.Conv1D(4, 3, groups=2, name="conv")),
    "1d, causal": ((9, 6), lambda: L.Conv1D(4, 3, padding="causal", groups=2, name="conv")),
}


@pytest.mark.parametrize("case", GROUPED)
def test_groups_become_convolutions(case: str) -> None:
    shape, make = GROUPED[case]
    model = around(shape, make())
    reduction = reduce(model, target="cpu")
    assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("conv",), "conv"),)
    *parts, joined = reduction.model.layers[1:]
    assert type(joined) is L.Concatenate
    assert joined.name == "conv"
    assert {type(x) for x in parts} == {type(model.layers[-1])}
    assert {x.groups for x in parts} == {1}
    assert len(parts) == model.layers[-1].groups
    assert_same(model, reduction.model)


@pytest.mark.parametrize("target", ["any", "gpu"])
def test_groups_become_convolutions_for_cpus_only(target: str) -> None:
    check_left(around((8, 7, 6), L.Conv2D(4, 3, groups=2)), target)


NOT_SPLIT: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "no groups": ((8, 7, 6), lambda: L.Conv2D(4, 3)),
    "an activation along the channels": (
        (8, 7, 6),
        lambda: L.Conv2D(4, 3, groups=2, activation="softmax"),
    ),
    "a layer as activation": ((8, 7, 6), lambda: L.Conv2D(4, 3, groups=2, activation=L.PReLU())),
    "a function as activation": (
        (8, 7, 6),
        lambda: L.Conv2D(4, 3, groups=2, activation=lambda x: x / keras.ops.max(x)),
    ),
    "channels first": (
        (6, 8, 7),
        lambda: L.Conv2D(4, 3, groups=2, data_format="channels_first"),
    ),
    "3d": ((5, 5, 5, 4), lambda: L.Conv3D(4, 3, groups=2)),
    "a depthwise one of one tap": ((8, 7, 4), lambda: L.Conv2D(4, 1, groups=4)),
    "too many groups": ((4, 4, 130), lambda: L.Conv2D(130, 3, groups=65)),
}


@pytest.mark.parametrize("case", NOT_SPLIT)
def test_what_is_not_split(case: str) -> None:
    shape, make = NOT_SPLIT[case]
    check_left(around(shape, make()), "cpu")


def test_neither_shared_nor_cast_nor_in_a_sequential_model() -> None:
    conv = L.Conv2D(4, 3, padding="same", groups=2)
    check_left(around((8, 7, 4), conv, L.ReLU(), conv), "cpu")
    check_left(around((8, 7, 4), L.Conv2D(4, 3, groups=2, dtype="float64")), "cpu")
    check_left(keras.Sequential([keras.Input((8, 7, 4)), L.Conv2D(4, 3, groups=2)]), "cpu")


def test_names_of_parts_are_free_and_those_of_outputs_stay() -> None:
    image = keras.Input((8, 7, 4))
    x = L.Conv2D(4, 3, padding="same", groups=2, name="conv")(image)
    y = L.Conv2D(4, 3, groups=2, name="conv_0")(L.ReLU(name="conv_split")(x))
    model = keras.Model(image, {"a": x, "b": y, "c": L.ReLU(name="conv_1")(y)})
    reduction = reduce(model, target="cpu")
    assert len(reduction.rewrites) == 2
    names = [x.name for x in reduction.model.layers]
    assert len(set(names)) == len(names)
    assert kito.graph.keras_internals.output_names(reduction.model) == ["conv", "conv_0", "conv_1"]
    assert_same(model, reduction.model)


def test_a_nested_model_that_is_called_twice() -> None:
    inner = around((8, 7, 4), L.Conv2D(4, 3, padding="same", groups=2))
    image = keras.Input((8, 7, 4))
    model = keras.Model(image, inner(inner(image)))
    reduction = reduce(model, target="cpu")
    assert len(reduction.rewrites) == 1
    assert_same(model, reduction.model)


# ---- resizing ----------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of any size count as large."""
    monkeypatch.setattr(resizing, "_LEAST_ELEMENTS", 0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [2, 3, 5, 7, (1, 2), (6, 13)])
@pytest.mark.parametrize("sides", [(1, 1), (4, 3), (9, 31)])
def test_upsampling_is_resizing_bit_for_bit(size: Any, sides: tuple[int, int]) -> None:
    model = around((*sides, 3), L.UpSampling2D(size, name="up"))
    reduction = reduce(model)
    assert kinds(reduction.model) == [L.Resizing]
    assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("up",), "up"),)
    arrays = feed(model)
    for a, b in zip(outputs(model, arrays), outputs(reduction.model, arrays), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_upsampling_is_resizing_at_many_sizes() -> None:
    for size in range(2, 33):
        for side in (1, 2, 3, 17, 100, 331, 509):
            model = around((side, 1, 1), L.UpSampling2D((size, 1)))
            arrays = [np.arange(side, dtype="float32").reshape(1, side, 1, 1)]
            (a,), (b,) = outputs(model, arrays), outputs(reduce(model).model, arrays)
            assert np.array_equal(a, b)


def test_large_upsampling_is_resizing_without_help() -> None:
    model = around((64, 64, 16), L.UpSampling2D(2))
    assert kinds(reduce(model).model) == [L.Resizing]
    check_left(around((64, 63, 16), L.UpSampling2D(2)))


class MyUpSampling(L.UpSampling2D):
    """May compute anything."""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "shape, make",
    [
        ((None, 8, 4), lambda: L.UpSampling2D(2)),
        ((8, None, 4), lambda: L.UpSampling2D(2)),
        ((8, 8, 4), lambda: L.UpSampling2D(1)),
        ((8, 8, 4), lambda: L.UpSampling2D(2, interpolation="bilinear")),
        ((4, 8, 8), lambda: L.UpSampling2D(2, data_format="channels_first")),
        ((8, 8, 4), lambda: L.UpSampling2D(2, dtype="float16")),
        ((8, 8, 4), lambda: L.UpSampling2D(2, dtype="float64")),
        ((8, 8, 4), lambda: MyUpSampling(2)),
        ((3, 8, 8, 4), lambda: L.TimeDistributed(L.UpSampling2D(2))),
        ((8, 4), lambda: L.UpSampling1D(2)),
    ],
)
def test_upsampling_that_stays(shape: tuple[int | None, ...], make: Any) -> None:
    check_left(around(shape, make()))


@pytest.mark.usefixtures("small")
def test_integers_and_shared_upsampling_stay() -> None:
    image = keras.Input((4, 4, 2), dtype="int32")
    check_left(keras.Model(image, L.UpSampling2D(2, dtype="int32")(image)))
    up = L.UpSampling2D(2)
    check_left(around((4, 4, 2), up, up))


# ---- the choice --------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["jax", "torch", "numpy"])
def test_other_backends_have_kernels_of_their_own(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rewrites() -> int:
        return len(kito.reduce(model, passes=("choose_kernels",), target="cpu").rewrites)

    each, pairs = (L.Conv2D(16, 3, padding="same", groups=n) for n in (16, 8))
    model = around((64, 64, 16), each, pairs, L.UpSampling2D(2))
    monkeypatch.setattr(keras.config, "backend", lambda: backend)
    assert rewrites() == (1 if backend == "jax" else 0)  # the pairs
    monkeypatch.undo()
    assert rewrites() == 3


def test_what_is_for_any_target_is_for_each() -> None:
    assert all(set(x.targets) == {"any", "cpu", "gpu"} or "any" not in x.targets for x in TABLE)
