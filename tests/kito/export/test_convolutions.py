"""Dense and Rescaling on images as convolutions, in exported files only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, randomize

from kito.export.engines import litert
from kito.export.engines.protocol import Settings
from kito.export.formats.convolutions import with_convolutions
from kito.export.formats.interface import Interface
from kito.export.formats.names import FORMAT_NAMES
from kito.graph.keras_internals import all_layers, input_names, output_names

L = keras.layers
pytestmark = pytest.mark.backends("tensorflow")
IMAGE = (5, 4, 3)


def model_of(*layers: Any, shape: tuple[int | None, ...] = IMAGE) -> Any:
    x = image = keras.Input(shape, name="image")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(image, x))


def affine(channels: int = 3) -> Any:
    vectors = np.random.default_rng(0).normal(0, 1, (2, channels)).astype("float32")
    return L.Rescaling(vectors[0], vectors[1], name="affine")


def kinds(model: Any) -> list[str]:
    return [type(x).__name__ for x in model.layers[1:]]


DENSE: dict[str, Callable[[], Any]] = {
    "plain": lambda: model_of(L.Dense(6, name="dense")),
    "no bias": lambda: model_of(L.Dense(6, use_bias=False, name="dense")),
    "activation": lambda: model_of(L.Dense(6, "gelu", name="dense")),
    "along the channels": lambda: model_of(L.Dense(6, "softmax", name="dense")),
    "open sizes": lambda: model_of(L.Dense(6, name="dense"), shape=(None, None, 3)),
}


@pytest.mark.parametrize("case", DENSE)
def test_dense_on_images_is_a_convolution(case: str) -> None:
    model = DENSE[case]()
    new = with_convolutions(model)
    assert kinds(new) == ["Conv2D"]
    assert kinds(model) == ["Dense"]
    assert (input_names(new), output_names(new)) == (["image"], ["dense"])
    assert_same(model, new, rtol=1e-6)


def test_all_calls_of_a_dense_and_those_in_nested_models() -> None:
    dense = L.Dense(3)
    model = model_of(dense, L.ReLU(), dense)
    assert kinds(with_convolutions(model)) == ["Conv2D", "ReLU"]
    assert_same(model, with_convolutions(model), rtol=1e-6)
    nested = model_of(model_of(L.Dense(3)), keras.Sequential([L.Dense(2), L.ReLU()]))
    inside = [type(x) for x in all_layers(with_convolutions(nested))]
    assert inside.count(L.Conv2D) == 2
    assert_same(nested, with_convolutions(nested), rtol=1e-6)


def test_an_affine_of_images_is_a_depthwise_convolution() -> None:
    model = model_of(affine(), L.ReLU())
    assert with_convolutions(model) is model
    new = with_convolutions(model, affines=True)
    assert kinds(new) == ["DepthwiseConv2D", "ReLU"]
    assert_same(model, new, rtol=1e-6)


def with_lora() -> Any:
    model = model_of(L.Dense(6, name="dense"))
    model.get_layer("dense").enable_lora(2)
    return randomize(model)


def masked() -> Any:
    image = keras.Input(IMAGE)
    return keras.Model(image, L.Dense(6)(L.Masking()(image)))


def called_on_a_matrix_too() -> Any:
    dense, image = L.Dense(3), keras.Input(IMAGE)
    return keras.Model(image, [dense(image), dense(L.GlobalMaxPooling2D()(image))])


def called_by_a_wrapper_too() -> Any:
    dense, image, video = L.Dense(3), keras.Input(IMAGE), keras.Input((2, *IMAGE))
    return keras.Model([image, video], [dense(image), L.TimeDistributed(dense)(video)])


class MyDense(L.Dense):
    """May compute anything."""


class Subclassed(keras.Model):
    """Not readable."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def subclassed() -> Any:
    model = Subclassed()
    model(np.zeros((1, *IMAGE), "float32"))
    return model


LEFT: dict[str, Callable[[], Any]] = {
    "a matrix": lambda: model_of(L.Dense(6), shape=(3,)),
    "a sequence": lambda: model_of(L.Dense(6), shape=(4, 3)),
    "a matrix too": called_on_a_matrix_too,
    "another dtype": lambda: model_of(L.Dense(6, dtype="float16")),
    "LoRA": with_lora,
    "a mask": masked,
    "an activation with weights": lambda: model_of(L.Dense(6, activation=L.PReLU())),
    "a subclass": lambda: model_of(MyDense(6)),
    "a wrapper too": called_by_a_wrapper_too,
    "a wrapper": lambda: model_of(L.TimeDistributed(L.Dense(6))),
    "a subclassed model": subclassed,
    "one scale": lambda: model_of(L.Rescaling(0.5, 1.0)),
    "no shift": lambda: model_of(L.Rescaling(np.ones(3, "float32") * 2)),
    "an affine of rows": lambda: model_of(
        L.Rescaling(np.full((4, 1), 2.0, "float32"), np.arange(4.0).reshape(4, 1))
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_stays(case: str) -> None:
    model = LEFT[case]()
    assert with_convolutions(model, affines=True) is model


def test_the_files_hold_no_calculation_of_shapes(tmp_path: Path) -> None:
    """As Keras exports them, there are eight operators around each Dense."""
    from ai_edge_litert.interpreter import Interpreter

    model = model_of(affine(), L.ReLU(), L.Dense(6, "relu", name="dense"))
    found = {}
    for rewrite in (True, False):
        path = tmp_path / f"{rewrite}.tflite"
        form = FORMAT_NAMES["litert"].implementation()
        form.write(model, path, "model", Interface.of(model), rewrite)
        # No public function lists the operators.
        details = Interpreter(str(path))._get_ops_details()
        found[rewrite] = [x["op_name"] for x in details if x["op_name"] != "DELEGATE"]
    assert found[True] == ["DEPTHWISE_CONV_2D", "CONV_2D"]
    assert {"SHAPE", "RESHAPE", "MUL"} <= set(found[False])
    batch = np.random.default_rng(0).normal(0, 1, (2, *IMAGE)).astype("float32")
    [got] = litert.load(tmp_path / "True.tflite", Settings()).run({"image": batch})
    assert np.abs(got - model(batch).numpy()).max() < 1e-5
