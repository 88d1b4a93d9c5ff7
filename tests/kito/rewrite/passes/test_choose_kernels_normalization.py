"""LayerNormalization gives its scale and shift to the layers after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

import kito
from kito.graph.read import read_graph
from kito.graph.stock import named_weights
from kito.rewrite.passes.choose_kernels.normalization import without_affine

pytestmark = pytest.mark.backends("tensorflow", "jax")
L = keras.layers


def around(shape: tuple[int | None, ...], *layers: Any) -> Any:
    x = image = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


def reduce(model: Any, seed: int = 0) -> kito.Reduction:
    """With no scale of zero, which can only go as a whole."""
    for layer in kito.graph.keras_internals.all_layers(randomize(model, seed)):
        if getattr(layer, "gamma", None) is not None:
            gamma = np.asarray(layer.gamma)
            layer.gamma.assign(np.where(gamma == 0, 0.75, gamma))
    return kito.reduce(model, passes=("choose_kernels",))


def settings(model: Any) -> list[tuple[bool, bool]]:
    """(scale, center) of each LayerNormalization."""
    found = [
        x
        for x in kito.graph.keras_internals.all_layers(model)
        if isinstance(x, L.LayerNormalization)
    ]
    for layer in found:
        assert (layer.gamma is not None, layer.beta is not None) == (layer.scale, layer.center)
    return [(x.scale, x.center) for x in found]


def check(model: Any, *expected: tuple[bool, bool]) -> kito.Reduction:
    reduction = reduce(model)
    assert settings(reduction.model) == list(expected)
    assert_same(model, reduction.model)
    return reduction


BARE, SCALE, SHIFT, BOTH = (False, False), (True, False), (False, True), (True, True)

AFTER: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "dense": ((7, 4), lambda: [L.Dense(3, name="after")]),
    "dense without bias": ((7, 4), lambda: [L.Dense(3, use_bias=False, name="after")]),
    "dense, active": ((7, 4), lambda: [L.Dense(3, activation="gelu", name="after")]),
    "dense, flat": ((4,), lambda: [L.Dense(3, name="after")]),
    "einsum": ((7, 4), lambda: [L.EinsumDense("abc,cd->abd", (7, 3), name="after")]),
    "1 x 1": ((6, 5, 4), lambda: [L.Conv2D(3, 1, padding="same", name="after")]),
    "patches": ((6, 6, 4), lambda: [L.Conv2D(3, 2, 2, name="after")]),
    "grouped": ((6, 6, 4), lambda: [L.Conv2D(4, 3, groups=2, name="after")]),
    "1d": ((None, 4), lambda: [L.Conv1D(3, 3, name="after")]),
    "distributed": ((7, 4), lambda: [L.TimeDistributed(L.Dense(3), name="after")]),
    "through dropout": ((7, 4), lambda: [L.Dropout(0.5), L.Dense(3, name="after")]),
    "through a pool": ((7, 4), lambda: [L.GlobalAveragePooling1D(), L.Dense(3, name="after")]),
    "through a reshape": ((8, 4), lambda: [L.Reshape((2, 4, 4)), L.Dense(3, name="after")]),
}


@pytest.mark.parametrize("case", AFTER)
def test_both_go_down(case: str) -> None:
    shape, make = AFTER[case]
    model = around(shape, L.LayerNormalization(name="norm"), *make())
    reduction = check(model, BARE)
    assert reduction.rewrites[0] == kito.Rewrite("choose_kernels", ("norm",), "after")


def test_one_that_has_only_one() -> None:
    check(around((7, 4), L.LayerNormalization(center=False), L.Dense(3)), BARE)
    check(around((7, 4), L.LayerNormalization(scale=False), L.Dense(3)), BARE)
    bare = L.LayerNormalization(center=False, scale=False)
    assert not check(around((7, 4), bare, L.Dense(3)), BARE).rewrites


def test_to_all_of_several() -> None:
    image = keras.Input((7, 4))
    x = L.LayerNormalization()(image)
    model = keras.Model(image, [L.Dense(3, name="a")(x), L.Dense(2, name="b")(x)])
    (rewrite,) = check(model, BARE).rewrites
    assert set((rewrite.into or "").split(", ")) == {"a", "b"}


def test_where_one_does_not_take_it() -> None:
    image = keras.Input((7, 4))
    x = L.LayerNormalization()(image)
    assert not check(keras.Model(image, [L.Dense(3)(x), L.ReLU()(x)]), BOTH).rewrites
    assert not check(keras.Model(image, [L.Dense(3)(x), x]), BOTH).rewrites
    assert not check(around((7, 4), L.LayerNormalization()), BOTH).rewrites


def test_only_the_scale_goes_before_zeros() -> None:
    check(around((6, 6, 4), L.LayerNormalization(), L.Conv2D(3, 3, padding="same")), SHIFT)


def test_the_scale_stays_where_the_shift_could_not_come_first() -> None:
    model = around((6, 6, 4), L.LayerNormalization(), L.Conv2D(3, 3, padding="same"))
    randomize(model)  # a gamma of 0
    reduction = kito.reduce(model, passes=("choose_kernels",))
    assert settings(reduction.model) == [BOTH]
    assert_same(model, reduction.model)


def test_only_the_shift_passes_a_sum_and_only_into_a_bias() -> None:
    def model(bias: bool) -> Any:
        image = keras.Input((7, 4))
        x = L.Add()([image, L.LayerNormalization()(image)])
        return keras.Model(image, L.Dense(3, use_bias=bias)(x))

    check(model(True), SCALE)
    check(model(False), BOTH)


def test_one_and_zero_go_anywhere() -> None:
    norm = L.LayerNormalization(name="norm")
    model = around((7, 4), norm)
    reduction = kito.reduce(model, passes=("choose_kernels",))
    assert settings(reduction.model) == [BARE]
    assert reduction.rewrites == (kito.Rewrite("choose_kernels", ("norm",), "norm"),)
    assert_same(model, reduction.model)
    norm.gamma.assign(2 * np.ones(4))
    assert settings(kito.reduce(model, passes=("choose_kernels",)).model) == [BOTH]


def test_a_large_shift_stays() -> None:
    norm = L.LayerNormalization(scale=False)
    model = randomize(around((7, 4), norm, L.Dense(3)))
    norm.beta.assign(300 * np.ones(4))
    assert kito.reduce(model, passes=("choose_kernels",)).rewrites == ()


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
@pytest.mark.parametrize(
    "norm",
    [
        lambda: L.LayerNormalization(axis=[1, 2]),
        lambda: L.LayerNormalization(axis=1),
        lambda: L.LayerNormalization(rms_scaling=True),
        lambda: L.GroupNormalization(2),
        lambda: L.RMSNormalization(),
        lambda: type("Mine", (L.LayerNormalization,), {})(),
    ],
)
def test_normalizations_that_stay(norm: Any) -> None:
    model = around((7, 4), norm(), L.Dense(3))
    reduction = reduce(model)
    assert reduction.rewrites == ()
    assert_same(model, reduction.model)


def test_shared_ones_stay() -> None:
    norm = L.LayerNormalization()
    check(around((7, 4), norm, L.Dense(4), norm, L.Dense(4)), BOTH)


def test_a_shared_dense_layer_gets_a_copy() -> None:
    dense = L.Dense(4)
    check(around((7, 4), dense, L.LayerNormalization(), dense, L.ReLU()), BARE)


def test_in_training_mode_it_stays() -> None:
    inner = around((7, 4), L.LayerNormalization(), L.Dropout(0.5), L.Dense(3))
    image = keras.Input((7, 4))
    model = keras.Model(image, inner(image, training=True))
    assert reduce(model).rewrites == ()


def test_inside_of_nested_and_sequential_models() -> None:
    inner = keras.Sequential([keras.Input((7, 4)), L.LayerNormalization(), L.Dense(4)])
    reduction = check(keras.Sequential([keras.Input((7, 4)), inner]), BARE)
    assert isinstance(reduction.model, keras.Sequential)


@pytest.mark.parametrize(
    "policy",
    [
        # Keras on PyTorch computes the product of two matrices in float32.
        pytest.param("float64", marks=pytest.mark.backends("tensorflow")),
        "mixed_float16",
        "mixed_bfloat16",
    ],
)
def test_policies(policy: str) -> None:
    # LayerNormalization computes in the dtype of its input, which it does not cast.
    cast = L.Activation("tanh", dtype=policy)
    model = around((7, 4), cast, L.LayerNormalization(dtype=policy), L.Dense(3, dtype=policy))
    reduction = reduce(model)
    assert settings(reduction.model) == [BARE]
    assert_same(model, reduction.model, rtol=1e-12 if policy == "float64" else 5e-2)


def test_another_dtype_after_it_stays() -> None:
    check(around((7, 4), L.LayerNormalization(), L.Dense(3, dtype="float16")), BOTH)


def test_masks_are_handed_on() -> None:
    tokens = keras.Input((7,), dtype="int32")
    x = L.LayerNormalization()(L.Embedding(5, 4, mask_zero=True)(tokens))
    model = keras.Model(tokens, L.LSTM(3)(L.Dense(4)(x)))
    check(model, BARE)


# ---- attention ---------------------------------------------------------------------------------


def attention(call: Any, **settings: Any) -> Any:
    image = keras.Input((7, 6))
    layer = L.MultiHeadAttention(2, 3, name="query", **settings)
    x = L.LayerNormalization(name="norm")(image)
    return keras.Model(image, call(layer, x, image))


CALLS: dict[str, Any] = {
    "twice": lambda layer, x, y: layer(x, x),
    "thrice": lambda layer, x, y: layer(x, x, x),
    "by name": lambda layer, x, y: layer(query=x, value=x, key=x),
    "query": lambda layer, x, y: layer(x, y),
    "value": lambda layer, x, y: layer(y, x),
    "value alone": lambda layer, x, y: layer(y, x, y),
    "key alone": lambda layer, x, y: layer(y, y, key=x),
    "causal": lambda layer, x, y: layer(x, x, use_causal_mask=True),
    "scores": lambda layer, x, y: layer(x, x, return_attention_scores=True),
    "masked": lambda layer, x, y: layer(x, x, attention_mask=keras.ops.ones((1, 7, 7))),
    "beside": lambda layer, x, y: [layer(x, x), L.Dense(3)(x)],
}


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"use_gate": True},
        pytest.param(
            {"value_dim": 5, "output_shape": 4},
            marks=pytest.mark.backends("tensorflow"),  # Keras on JAX fails on it
        ),
    ],
)
def test_attention(case: str, more: dict[str, Any]) -> None:
    reduction = check(attention(CALLS[case], **more), BARE)
    assert "query" in (reduction.rewrites[0].into or "")


def test_attention_over_several_axes() -> None:
    image = keras.Input((3, 7, 6))
    x = L.LayerNormalization()(image)
    check(keras.Model(image, L.MultiHeadAttention(2, 3, attention_axes=2)(x, x)), BARE)


def test_attention_without_biases_takes_the_scale() -> None:
    model = attention(CALLS["twice"], use_bias=False)
    reduction = check(model, SHIFT)
    assert not any("bias" in x for x in named_weights(reduction.model.layers[-1]))


def test_the_weights_of_what_is_inside_have_names() -> None:
    model = attention(CALLS["twice"])
    names = set(named_weights(model.layers[-1]))
    assert {"query/kernel", "key/bias", "value/kernel", "attention_output/kernel"} <= names
    assert set(named_weights(model.layers[1])) == {"gamma", "beta"}


def test_attention_that_is_called_twice_stays() -> None:
    check(attention(lambda layer, x, y: layer(layer(x, x), y)), BOTH)


def test_attention_with_it_as_mask_stays() -> None:
    image = keras.Input((6, 6))
    x = L.LayerNormalization()(image)
    layer = L.MultiHeadAttention(2, 3)
    check(keras.Model(image, layer(x, x, attention_mask=x)), BOTH)


def test_attention_of_other_kinds_stays() -> None:
    class Mine(L.MultiHeadAttention):
        """May compute anything."""

    image = keras.Input((7, 6))
    for layer in (L.GroupQueryAttention(3, 4, 2), Mine(2, 3)):
        x = L.LayerNormalization()(image)
        model = keras.Model(image, layer(x, x))
        assert reduce(model).rewrites == ()


def test_attention_with_lora_or_in_training_mode_stays() -> None:
    model = randomize(attention(CALLS["twice"]))
    nodes = {node.op.name: node for node in read_graph(model).nodes}
    rewrite = without_affine(nodes["norm"])
    assert rewrite is not None
    assert rewrite.into == "query"
    model.layers[-1].query_dense.enable_lora(2)
    nodes = {node.op.name: node for node in read_graph(model).nodes}
    assert without_affine(nodes["norm"]) is None
    model = attention(lambda layer, x, y: layer(x, x, training=True), dropout=0.5)
    assert reduce(model).rewrites == ()


def test_attention_of_another_dtype_stays() -> None:
    reduction = reduce(attention(CALLS["twice"], dtype="mixed_float16"))
    assert settings(reduction.model) == [BOTH]


def test_batch_normalization_goes_into_attention_too() -> None:
    image = keras.Input((7, 6))
    x = L.ReLU()(L.BatchNormalization()(L.ReLU()(image)))
    x = L.BatchNormalization()(x)
    model = randomize(keras.Model(image, L.MultiHeadAttention(2, 3)(x, x)))
    reduction = kito.reduce(model)
    assert reduction.batchnorms[0] == 2
    assert any((x.into or "").startswith("multi_head_attention") for x in reduction.rewrites)
    assert_same(model, reduction.model)


def test_a_transformer_saved_and_loaded(tmp_path: Path) -> None:
    x = image = keras.Input((9, 8))
    for _ in range(2):
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)])
        y = L.LayerNormalization()(x)
        y = L.Dense(8)(L.Dense(16, activation="gelu")(y))
        x = L.Add()([x, y])
    model = keras.Model(image, L.Dense(3)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x))))
    reduction = reduce(model)
    assert settings(reduction.model) == [BARE] * 5
    assert_same(model, reduction.model)
    reduction.model.save(tmp_path / "model.keras")
    assert_same(model, keras.models.load_model(tmp_path / "model.keras"))
    assert kito.reduce(reduction.model).rewrites == ()
