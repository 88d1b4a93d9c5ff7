"""A ``.keras`` file that fails: whether that is the original's fault, and of which layer of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.export.artifact import ArtifactDiffersError, write_artifact
from kito.export.proof import Baseline

L = keras.layers
INPUTS = {"x": np.random.default_rng(0).random((4, 3), "float32")}


@keras.saving.register_keras_serializable("own_file")
class NoConfig(L.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return 2.0 * x

    def get_config(self) -> Any:
        raise NotImplementedError("get_config() is for later")


@keras.saving.register_keras_serializable("own_file")
class Forgetful(L.Layer):  # type: ignore[misc]
    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return self.factor * x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable("own_file")
class Silent(Forgetful):
    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(factor, **kwargs)


@keras.saving.register_keras_serializable("own_file")
class Narrow(Silent):
    """Its weight has ``factor`` elements, as a layer created from its configuration does not."""

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(shape=(int(self.factor),), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.weight


class Unknown(L.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return 3.0 * x

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


Unknown.__module__ = "a.module.that.is.gone"


def around(layer: Any) -> Any:
    x = keras.Input((3,), name="x")
    return keras.Model(x, L.Dense(2, name="scores")(layer(x)), name="net")


@pytest.mark.parametrize(
    "layer, what",
    [
        (NoConfig(name="odd"), "'odd' (NoConfig). Register custom classes"),
        (Forgetful(2.0, name="odd"), "'odd' (Forgetful): TypeError: "),
        (L.Lambda(lambda x: 2.0 * x, name="odd"), "'odd' (Lambda). Write it as a layer class"),
        (L.TimeDistributed(Unknown(name="odd")), "'odd' (Unknown): TypeError: Could not locate"),
        (
            keras.Sequential([keras.Input((3,)), L.ReLU(), Unknown(name="odd")]),
            "'odd' (Unknown): TypeError: Could not locate",
        ),
    ],
    ids=["write", "load", "lambda", "wrapped", "nested"],
)
def test_the_layer_of_the_original_is_named(tmp_path: Path, layer: Any, what: str) -> None:
    x = keras.Input((4, 3) if isinstance(layer, L.TimeDistributed) else (3,), name="x")
    model = keras.Model(x, L.Dense(2)(layer(L.Dense(3, name="first")(x))))
    with pytest.raises(KitoError) as raised:
        write_artifact(model, Baseline(model, INPUTS), tmp_path, "net")
    message = str(raised.value)
    assert "That is the original's fault" in message
    assert f"because of layer {what}" in message
    assert "installed: saved_model" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_weights_that_a_file_cannot_restore(tmp_path: Path) -> None:
    model = around(Narrow(3, name="odd"))
    with pytest.raises(KitoError, match=r"'odd' \(Narrow\): it has weights of shapes"):
        write_artifact(model, Baseline(model, INPUTS), tmp_path, "net")


def test_a_file_that_differs_as_the_originals_own_does(tmp_path: Path) -> None:
    model = around(Silent(2.0, name="odd"))
    with pytest.raises(ArtifactDiffersError, match=r"original's fault.*first in layer 'odd'"):
        write_artifact(model, Baseline(model, INPUTS), tmp_path, "net")


def test_an_original_that_can_be_loaded_is_not_blamed(tmp_path: Path) -> None:
    original, reduced = around(L.Rescaling(3.0)), around(Unknown())
    reduced.set_weights(original.get_weights())
    with pytest.raises(KitoError, match=r"The original can be saved and loaded.* Register custom"):
        write_artifact(reduced, Baseline(original, INPUTS), tmp_path, "net")
