"""What is refused, and the reason that is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

import kito
from kito.runtime.run import to_numpy

L = keras.layers


class MyConv(L.Conv2D):
    pass


class MyNorm(L.BatchNormalization):
    pass


def build(rest: Callable[[Any], Any], shape: tuple[int, ...] = (6, 6, 4)) -> Any:
    image = keras.Input(shape, name="image")
    return randomize(keras.Model(image, rest(image)))


def norm(**kwargs: Any) -> Any:
    return L.BatchNormalization(name="bn", **kwargs)


def several_users(x: Any) -> Any:
    x = L.Conv2D(4, 3, name="conv")(x)
    return [L.ReLU()(norm()(x)), L.ReLU()(x)]


def before_an_output(x: Any) -> Any:
    x = L.Conv2D(4, 3, name="conv")(x)
    return [L.ReLU()(norm()(x)), x]


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "activation": (
        lambda x: L.ReLU()(norm()(L.Conv2D(4, 3, activation="sigmoid", name="conv")(x))),
        "'conv' applies its activation 'sigmoid' before it",
    ),
    "several users": (several_users, "the result of 'conv' is used 2 times: 'bn', "),
    "output": (before_an_output, "the result of 'conv' before it is an output of the model"),
    "training": (
        lambda x: L.ReLU()(norm()(L.Conv2D(4, 3)(x), training=True)),
        "called with training=True",
    ),
    "axis": (lambda x: L.ReLU()(norm(axis=1)(L.Conv2D(4, 3)(x))), "axis 1"),
    "subclassed convolution": (
        lambda x: L.ReLU()(norm()(MyConv(4, 3, name="conv")(x))),
        "'conv' is a MyConv, a subclass of Conv2D that may compute anything",
    ),
    "subclassed normalization": (
        lambda x: L.ReLU()(MyNorm(name="bn")(L.Conv2D(4, 3)(x))),
        "'bn' is a MyNorm, a subclass of BatchNormalization",
    ),
    "attention": (
        lambda x: L.ReLU()(norm()(L.Attention()([x, x]))),
        "no affine can be folded into",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_recorded_and_nothing_changes(case: str) -> None:
    rest, reason = CASES[case]
    model = build(rest)
    reduction = kito.reduce(model)
    assert [kept.layer for kept in reduction.kept] == ["bn"]
    assert reason in reduction.kept[0].reason
    assert not reduction.rewrites
    assert reason in reduction.summary()
    assert_same(model, reduction.model)


def test_a_normalization_at_the_input() -> None:
    model = build(lambda x: L.ReLU()(norm()(x)))
    [kept] = kito.reduce(model).kept
    assert "it reads the input 'image'" in kept.reason


def test_a_nested_model_that_runs_in_training_mode() -> None:
    inside = keras.Input((6, 6, 4))
    inner = keras.Model(inside, L.Dropout(0.5)(norm()(L.Conv2D(4, 3)(inside))), name="inner")
    model = build(lambda x: L.ReLU()(inner(x, training=True)))
    reduction = kito.reduce(model)
    assert "model 'inner' around it is called with training=True" in reduction.kept[0].reason
    assert any(isinstance(x, L.Dropout) for x in reduction.model.get_layer("inner").layers)


@pytest.mark.parametrize("how", ["quantize", "lora"])
def test_quantized_and_lora_layers(how: str) -> None:
    dense = L.Dense(8, name="dense")
    model = build(lambda x: L.ReLU()(norm()(dense(x))), shape=(16,))
    if how == "quantize":
        dense.quantize("int8")
    else:
        dense.enable_lora(2)
        for variable in dense.trainable_weights:
            variable.assign(np.random.default_rng(0).normal(0, 0.3, variable.shape))
    reduction = kito.reduce(model)
    assert ("quantized (int8)" if how == "quantize" else "LoRA") in reduction.kept[0].reason
    assert_same(model, reduction.model)


@pytest.mark.parametrize("spoiled", ["variance", "kernel"])
def test_what_is_not_finite_is_not_folded(spoiled: str) -> None:
    model = build(lambda x: L.ReLU()(norm()(L.Conv2D(4, 3, name="conv")(x))))
    layer = model.get_layer("bn" if spoiled == "variance" else "conv")
    weights = layer.get_weights()
    weights[-1 if spoiled == "variance" else 0].flat[1] = np.nan
    layer.set_weights(weights)
    reduction = kito.reduce(model)
    assert "NaN" in reduction.kept[0].reason


@pytest.mark.parametrize(
    "gamma, reason", [(1e6, "which float16 cannot"), (1e-9, "too small for float16")]
)
def test_float16_must_hold_what_is_folded(gamma: float, reason: str) -> None:
    def rest(x: Any) -> Any:
        x = L.Conv2D(4, 3, name="conv", dtype="mixed_float16")(x)
        return L.ReLU(dtype="mixed_float16")(norm(dtype="mixed_float16")(x))

    model = build(rest)
    _, *others = model.get_layer("bn").get_weights()
    model.get_layer("bn").set_weights([np.full(4, gamma, "float32"), *others])
    assert reason in kito.reduce(model).kept[0].reason


def test_mixed_precision_folds_where_it_fits() -> None:
    def rest(x: Any) -> Any:
        x = L.Conv2D(4, 3, name="conv", dtype="mixed_float16")(x)
        return L.ReLU(dtype="mixed_float16")(norm(dtype="mixed_float16")(x))

    model = build(rest)
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    conv = reduction.model.get_layer("conv")
    assert (conv.compute_dtype, conv.variable_dtype) == ("float16", "float32")
    assert_same(model, reduction.model, rtol=5e-3)


def test_normalizations_of_one_name_are_each_accounted_for() -> None:
    def block(name: str) -> Any:
        inside = keras.Input((6, 6, 4))
        return keras.Model(inside, norm()(L.ReLU(name="relu")(inside)), name=name)

    reduction = kito.reduce(build(lambda x: block("second")(block("first")(x))))
    assert reduction.batchnorms == (2, 0)
    assert reduction.precomputed == 2
    assert [kept.layer for kept in reduction.kept] == ["bn", "bn"]


def test_a_normalization_at_several_places_is_one_that_is_kept() -> None:
    shared = norm()
    model = build(lambda x: L.ReLU()(shared(L.ReLU()(shared(L.ReLU()(x))))))
    assert [kept.layer for kept in kito.reduce(model).kept] == ["bn"]


def test_a_distributed_subclass_of_a_normalization() -> None:
    model = build(lambda x: L.ReLU()(L.TimeDistributed(MyNorm(name="bn"))(L.Dense(3)(x))))
    [kept] = kito.reduce(model).kept
    assert "'bn' is a MyNorm, a subclass of BatchNormalization" in kept.reason


class Block(keras.layers.Layer):
    """A layer of the user's that hides a normalization."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv, self.norm = L.Conv2D(4, 3), norm()

    def call(self, x: Any) -> Any:
        return self.norm(self.conv(x))


def test_a_normalization_inside_a_closed_layer() -> None:
    block = Block(name="block")
    model = build(lambda x: L.ReLU()(block(block(x))))
    reduction = kito.reduce(model, passes=("fold_batchnorm",))
    assert reduction.batchnorms == (1, 1)
    assert reduction.kept == (kito.Kept("bn", "it is inside 'block' (Block), a closed layer"),)
    assert_same(model, reduction.model)


class Choice(Block):
    """A layer of the user's that cannot be inlined."""

    def build(self, shape: Any) -> None:
        self.conv.build(shape)
        self.norm.build(self.conv.compute_output_shape(shape))

    def call(self, x: Any) -> Any:
        return self.norm(self.conv(x)) if keras.ops.max(x) > 0 else self.conv(x)

    def compute_output_shape(self, shape: Any) -> Any:
        return self.conv.compute_output_shape(shape)


def test_a_closed_layer_is_named_once() -> None:
    [kept] = kito.reduce(build(lambda x: L.ReLU()(Choice(name="block")(x)))).kept
    assert kept.layer == "bn"
    assert kept.reason == (
        "it is inside 'block' (Choice), a closed layer: its call() decides by the values of tensors"
    )


def test_what_a_later_pass_folds_is_not_kept() -> None:
    model = build(lambda x: L.ReLU()(norm()(L.Dense(3)(x))))
    reduction = kito.reduce(model, passes=("fold_batchnorm", "fold_affine", "drop_identity"))
    assert reduction.batchnorms == (1, 0)
    assert not reduction.kept


def test_a_mask_of_its_own_that_later_layers_use() -> None:
    steps, mask = keras.Input((6, 4)), keras.Input((6,), dtype="bool")
    x = norm()(L.Dense(4)(steps), mask=mask)
    # Of another dtype, so that Keras does not record the mask with the call.
    model = randomize(keras.Model([steps, mask], L.GRU(3, dtype="mixed_float16")(x)))
    reduction = kito.reduce(model)
    assert "a mask of its own" in reduction.kept[0].reason
    values = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    inputs = [values, np.arange(6)[None] < np.array([[2], [3], [6]])]
    assert np.array_equal(to_numpy(model(inputs)), to_numpy(reduction.model(inputs)))


class Twice(keras.layers.Layer):
    """A layer of the user's: a kernel of its own that is applied twice as strongly."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 3))
        self.bias = self.add_weight(name="bias", shape=(3,))

    def call(self, x: Any) -> Any:
        return 2.0 * keras.ops.matmul(x, self.kernel) + self.bias


class TwiceTransfer(kito.Transfer):
    def absorb_following(self, op: Any, affine: kito.Affine, rank: int) -> kito.Change:
        kernel, bias = op.weight("kernel"), op.weight("bias")
        return kito.Change(
            {"kernel": kernel * affine.scale, "bias": bias * affine.scale + affine.shift}
        )


def test_a_users_layer_can_be_taught() -> None:
    model = build(lambda x: L.ReLU()(norm()(Twice(name="twice")(x))))
    assert "no affine can be folded into 'twice' (Twice)" in kito.reduce(model).kept[0].reason
    kito.register(Twice, TwiceTransfer())
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


def test_a_subclass_that_was_taught_is_no_stranger() -> None:
    class Plain(L.BatchNormalization):
        pass

    class Same(kito.Transfer):
        def affine(self, op: Any, rank: int) -> Any:
            gamma, beta, mean, variance = op.layer.get_weights()
            epsilon = op.layer.epsilon
            return kito.Affine.from_normalization(mean, variance, gamma, beta, epsilon, rank - 1)

    kito.register(Plain, Same())
    model = build(lambda x: L.ReLU()(Plain()(L.Conv2D(4, 3)(x))))
    reduction = kito.reduce(model)
    assert reduction.batchnorms == (1, 0)
    assert_same(model, reduction.model)


@pytest.mark.parametrize("arguments", [("Twice", TwiceTransfer()), (Twice, TwiceTransfer)])
def test_only_layers_and_transfers_are_registered(arguments: Any) -> None:
    with pytest.raises(kito.KitoError, match=r"register\(\) needs"):
        kito.register(*arguments)
