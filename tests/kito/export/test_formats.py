"""Each format by itself: names and order, batches, determinism, and what it cannot hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kito
from kito.equivalence import compare as comparison
from kito.equivalence.criteria import Criteria
from kito.errors import KitoError
from kito.export.artifact import ArtifactDiffersError, write_artifact
from kito.export.engines import openvino
from kito.export.files import sha256
from kito.export.formats import exporting
from kito.export.formats.chosen_backend import chosen_backend
from kito.export.formats.interface import Interface
from kito.export.formats.names import (
    FORMAT_NAMES,
    KERAS_FORMATS,
    FormatInfo,
    available_format,
    split_file_name,
)
from kito.export.proof import Baseline, prove
from kito.runtime.random_inputs import random_inputs

L = keras.layers
NAMED = ["onnx", "openvino", "litert"]
DETERMINISTIC = [name for name in KERAS_FORMATS if FORMAT_NAMES[name].deterministic]


def two(outputs: str = "list") -> Any:
    """Two inputs and outputs of one shape, one of them twice, in no order that sorting gives."""
    keras.utils.set_random_seed(0)
    zebra, apple = keras.Input((6, 6, 3), name="zebra"), keras.Input((4,), name="apple")
    x = L.BatchNormalization(name="bn")(L.Conv2D(4, 3, name="conv")(zebra))
    x = L.Concatenate(name="all")([L.GlobalAveragePooling2D(name="pool")(x), apple])
    yak, bee = L.Dense(3, name="yak")(x), L.Dense(3, name="bee")(x)
    given: Any = {"list": [yak, bee, yak], "dict": {"z_yak": yak, "a_bee": bee}}
    return keras.Model([zebra, apple], given[outputs], name="two")


def baseline(model: Any) -> Baseline:
    return Baseline(model, random_inputs(model))


def write(model: Any, folder: Path, name: str) -> Any:
    return write_artifact(kito.reduce(model).model, baseline(model), folder, "two", name)


def write_only(model: Any, folder: Path, name: str) -> bytes:
    folder.mkdir()
    path = folder / f"two{FORMAT_NAMES[name].suffix}"
    FORMAT_NAMES[name].implementation().write(model, path, "two", Interface.of(model))
    return path.read_bytes()


@pytest.mark.parametrize("outputs", ["list", "dict"])
@pytest.mark.parametrize("name", KERAS_FORMATS)
def test_several_inputs_and_outputs_are_kept_apart(tmp_path: Path, name: str, outputs: str) -> None:
    written = write(two(outputs), tmp_path, name)
    kind = FORMAT_NAMES[name]
    assert written.max_abs < 1e-5
    assert (written.format, written.file) == (name, f"two{kind.suffix}")
    assert (written.engine, written.precision) == (kind.engine, "f32")
    assert written.engine_version[0].isdigit()
    assert [x.name for x in tmp_path.iterdir()] == [written.file]


def test_an_onnx_file_bears_the_models_names_in_its_order(tmp_path: Path) -> None:
    import onnx

    write(two("dict"), tmp_path, "onnx")
    graph = onnx.load(str(tmp_path / "two.onnx")).graph
    assert [x.name for x in graph.input] == ["zebra", "apple"]
    # Keras sorts the keys of a dict.
    assert [x.name for x in graph.output] == ["a_bee", "z_yak"]
    write(two("list"), tmp_path, "onnx")
    graph = onnx.load(str(tmp_path / "two.onnx")).graph
    assert [x.name for x in graph.output] == ["yak", "bee", "yak_1"]
    assert [x.type.tensor_type.shape.dim[0].dim_param for x in graph.input] == ["batch", "batch"]


@pytest.mark.parametrize("name", KERAS_FORMATS)
def test_the_model_is_left_as_it_was(tmp_path: Path, name: str) -> None:
    model = two()
    inputs = list(random_inputs(model, samples=2).values())
    expected = model.predict(inputs, verbose=0)

    def state() -> list[Any]:
        return [(sorted(vars(x)), len(x._inbound_nodes)) for x in (model, *model.layers)]

    before, compiled = state(), model.predict_function
    write_only(model, tmp_path / "two", name)
    assert state() == before
    assert model.predict_function is compiled
    for a, b in zip(expected, model.predict(inputs, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", KERAS_FORMATS)
def test_a_file_that_differs_never_appears(tmp_path: Path, name: str) -> None:
    model = two()
    other = kito.reduce(model).model
    other.get_layer("bee").set_weights([x * 1.01 for x in other.get_layer("bee").get_weights()])
    target = tmp_path / f"two{FORMAT_NAMES[name].suffix}"
    target.write_text("the older one")
    message = f"'{target.name}', run by {FORMAT_NAMES[name].engine}, differs: output 'bee' differs"
    with pytest.raises(ArtifactDiffersError, match=message):
        write_artifact(other, baseline(model), tmp_path, "two", name)
    assert target.read_text() == "the older one"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_a_file_takes_batches_of_any_size(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, L.Dense(3)(x), name="one")
    spec = keras.InputSpec(shape=(8, 4), dtype="float32", name="x")
    monkeypatch.setattr(exporting, "_signature", lambda model: [spec])
    # The comparison itself runs batches of 8, and would find nothing.
    with pytest.raises(KitoError, match="cannot run it: model 'one"):
        write_artifact(model, baseline(model), tmp_path, "one", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_same_model_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    # Converters count what they name as long as the process lives, and Keras numbers what layers
    # share, such as their policy, by where it lies in memory.
    policy = keras.config.dtype_policy()
    try:
        first = write_only(two(), tmp_path / "a", name)
        keras.config.set_dtype_policy("float32")
        assert keras.config.dtype_policy() is not policy
        second = write_only(two(), tmp_path / "b", name)
    finally:
        keras.config.set_dtype_policy(policy)
    assert first == second


@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_rounding_of_an_engine_is_judged_against_float64(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = two()
    written = write(model, tmp_path, name)
    monkeypatch.setattr(comparison, "RTOL", 1e-12)
    proof = prove(tmp_path / written.file, name, baseline(model))
    assert proof.comparison.passed
    assert proof.comparison.within_rounding
    narrow = Baseline(model, random_inputs(model), Criteria(rtol=1e-12))
    strict = prove(tmp_path / written.file, name, narrow)
    assert not strict.comparison.passed
    assert strict.comparison.first_departure is None


def test_openvino_is_asked_for_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Core(openvino.core().__class__):  # type: ignore[misc]
        def compile_model(self, model: Any, device: str, config: Any) -> Any:
            given.append(config)
            return super().compile_model(model, device, config)

    monkeypatch.setattr(openvino, "core", Core)
    assert write(two(), tmp_path, "openvino").precision == "f32"
    assert given == [{"INFERENCE_PRECISION_HINT": "f32"}]


def unheld() -> Any:
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.ops.erfinv(x * 0.9), name="unheld")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMED)
def test_what_a_format_cannot_hold_is_reported_in_one_line(tmp_path: Path, name: str) -> None:
    model = unheld()
    with pytest.raises(KitoError, match=rf"(?i)erfinv.*Leave '{name}' out") as caught:
        write_artifact(model, baseline(model), tmp_path, "unheld", name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_liteRT_cannot_run_is_reported(tmp_path: Path) -> None:  # noqa: N802
    ids = keras.Input((5,), dtype="int32", name="ids")
    model = keras.Model(ids, L.LSTM(3)(L.Embedding(7, 4)(ids)), name="text")
    with pytest.raises(KitoError, match=r"LiteRT cannot run it: .*Leave 'litert' out"):
        write_artifact(model, baseline(model), tmp_path, "text", "litert")


@pytest.mark.parametrize("name", ["saved_model", "litert"])
def test_names_that_a_format_cannot_hold_are_reported(tmp_path: Path, name: str) -> None:
    a, b = keras.Input((3,), name="a b"), keras.Input((3,), name="c-d")
    model = keras.Model([a, b], L.Dense(2)(L.Concatenate()([a, b])), name="odd")
    with pytest.raises(KitoError, match=f"'odd' cannot be written as {name}: .*'a b'"):
        write_artifact(model, baseline(model), tmp_path, "odd", name)


def test_a_subclassed_and_a_sequential_model_are_held(tmp_path: Path) -> None:
    class Closed(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="closed")
            self.a, self.b = L.Dense(3), L.Dense(3)

        def call(self, x: Any) -> Any:
            return [self.a(x), self.b(x)]

    closed = Closed()
    inputs = {"x": np.random.default_rng(0).random((4, 5), "float32")}
    closed(inputs["x"])
    sequential = keras.Sequential([keras.Input((5,), name="x"), L.Dense(3)])
    for model in (closed, sequential):
        for name in ("saved_model", "onnx"):
            write_artifact(model, Baseline(model, inputs), tmp_path, model.name, name)
    write_artifact(sequential, Baseline(sequential, inputs), tmp_path, "sequential", "keras")


def test_a_model_of_other_names_is_not_the_originals(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    original = keras.Model(x, L.Dense(3)(x))
    y = keras.Input((4,), name="y")
    other = keras.Model(y, L.Dense(3)(y))
    with pytest.raises(KitoError, match=r"takes \['y'\].*the original takes \['x'\]"):
        Interface.of(original).with_named_outputs(other)
    with pytest.raises(KitoError, match="the format changes such names"):
        Interface.of(original).check("x.onnx", ["y"], ["dense"])


def test_other_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert available_format("keras").unwritable is None
    with pytest.raises(KitoError, match="on 'jax', which writes keras; set KERAS_BACKEND=tensor"):
        available_format("onnx")


@pytest.mark.parametrize(
    "variables, written, expected",
    [
        ({"KERAS_BACKEND": "torch"}, '{"backend": "jax"}', "torch"),
        ({}, '{"backend": "jax"}', "jax"),
        ({}, "{", "tensorflow"),
        ({}, None, "tensorflow"),
    ],
)
def test_the_backend_is_known_without_keras(
    variables: dict[str, str],
    written: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if written is not None:
        (tmp_path / "keras.json").write_text(written)
    assert chosen_backend() == expected


def test_a_format_without_its_packages_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(KitoError, match=r"'onnx' needs packages .* 'pytest-kito\[onnx\]'"):
        write(two(), tmp_path, "onnx")


def test_a_folder_of_the_name_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept_models").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert FormatInfo("x", ".x", "X", ("kept_models", "json")).missing == ("kept_models",)


def test_the_suffix_of_a_file_name_determines_its_format() -> None:
    assert split_file_name("a.b.saved_model.tar.gz") == ("a.b", "saved_model")
    assert split_file_name("net.tflite") == ("net", "litert")
    assert split_file_name("net.tar.gz") is None
    assert split_file_name(".onnx") is None


TWICE = """
import os
import subprocess
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_formats import two, write_only
for name in sys.argv[2].split(","):
    write_only(two(), Path(sys.argv[1]) / name, name)
"""


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_where_the_format_says_so(tmp_path: Path) -> None:
    def digests(seed: str) -> dict[str, str]:
        folder = tmp_path / seed
        folder.mkdir()
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", TWICE, str(folder), ",".join(KERAS_FORMATS), here]
        subprocess.run(command, env=environ, check=True, capture_output=True)
        return {x.parent.name: sha256(x) for x in folder.glob("*/two.*")}

    first, second = digests("1"), digests("2")
    assert {name: first[name] == second[name] for name in KERAS_FORMATS} == {
        name: FORMAT_NAMES[name].deterministic for name in KERAS_FORMATS
    }
