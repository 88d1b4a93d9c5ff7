"""Models that cannot be reduced, and arguments that are wrong: one clear message each."""

from __future__ import annotations

from typing import Any

import keras
import pytest

import kito

L = keras.layers


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


class FakeKeras2:
    __module__ = "tf_keras.src.engine.training"


@pytest.mark.parametrize(
    "model, message",
    [
        (None, r"reduce\(\) needs a keras.Model; got NoneType"),
        ("model.keras", r"needs a keras.Model; got str: 'model.keras'"),
        (L.Dense(3), r"needs a keras.Model; got Dense"),
        (keras.Sequential, r"needs a keras.Model; got type.*call it"),
        (
            Subclassed(name="mine"),
            r"'mine' is a subclassed model \(Subclassed\) that was never built",
        ),
        (keras.Sequential([L.Dense(3)], name="open"), r"'open' is not built.*keras.Input"),
        (keras.Sequential(name="empty"), r"'empty' is not built"),
        (FakeKeras2(), r"made by tf_keras \(Keras 2\).*\.h5"),
    ],
)
def test_what_is_no_model_to_reduce(model: Any, message: str) -> None:
    with pytest.raises(kito.KitoError, match=message):
        kito.reduce(model)
    with pytest.raises(kito.KitoError, match=message):
        kito.reduce_keras_model(model)


def small() -> Any:
    x = keras.Input((3,))
    return keras.Model(x, L.Dropout(0.1)(L.Dense(2)(x)), name="small")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"passes": ["fold_affine", "melt"]}, r"passes: \['melt'\].*drop_identity, "),
        ({"passes": "fold_affine"}, r"passes: 'fold_affine' is not a sequence"),
        ({"passes": None}, r"passes: None is not a sequence"),
        ({"passes": [["fold_affine"]]}, r"passes: \[\['fold_affine'\]\] is not"),
        ({"target": "tpu"}, r"target: 'tpu' is not one of any, cpu, gpu"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(kito.KitoError, match=message):
        kito.reduce(small(), **arguments)


def test_a_subclassed_layer_in_a_functional_model_stays_closed() -> None:
    x = keras.Input((3,))
    model = keras.Model(x, Subclassed()(L.Dense(3)(x)))
    assert kito.reduce(model).layers == (3, 3)


def test_kitos_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    reduced = kito.reduce_keras_model(small())
    assert isinstance(reduced, keras.Model)
    assert capsys.readouterr().out == ""
    kito.reduce_keras_model(small(), verbose=True)
    assert "small: reduced in" in capsys.readouterr().out
