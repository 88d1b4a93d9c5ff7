"""The engines themselves: what each reports, and that it never takes another device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

import kito
from kito.export.engine_speedup import (
    FileSide,
    KerasSide,
    engine_process,
    loader,
    measure_in_engine,
)
from kito.export.engines import litert, onnx, openvino
from kito.export.engines.protocol import NoEngineDeviceError, Settings
from kito.export.formats.interface import Interface
from kito.export.formats.names import ENGINES, FORMAT_NAMES
from kito.export.proof import Baseline, prove
from kito.runtime.devices import detect
from kito.runtime.random_inputs import random_inputs
from kito.timing.protocol import Question
from kito.timing.speedup import timed_batch


def net() -> Any:
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, {"z": keras.layers.Dense(2, name="z")(x), "a": x}, name="net")


def exported(model: Any, folder: Path, name: str) -> Path:
    folder.mkdir()
    path = folder / f"net{FORMAT_NAMES[name].suffix}"
    FORMAT_NAMES[name].implementation().write(model, path, "net", Interface.of(model))
    return path


@pytest.mark.parametrize(
    "name",
    # Each process of TensorFlow takes seconds to start.
    [pytest.param(x, marks=[pytest.mark.slow] * (x == "saved_model")) for x in ENGINES],
)
def test_files_are_proved_and_timed_in_a_process_of_their_engine(name: str, tmp_path: Path) -> None:
    model, info = net(), FORMAT_NAMES[name]
    inputs = random_inputs(model, samples=4)
    original = exported(model, tmp_path / "original", name)
    reduced = exported(kito.reduce(model).model, tmp_path / "reduced", name)
    with engine_process(info, "cpu") as process:
        proof = prove(original, name, Baseline(model, inputs), loader(process, info))
    assert proof.comparison.passed
    batch = timed_batch(model, inputs, 3)
    estimate = measure_in_engine(
        name, detect("cpu"), FileSide(original, batch), FileSide(reduced, batch), Question(0.01)
    )
    assert (estimate.verdict, estimate.batch_size) == ("pass", 3)
    assert (estimate.engine, estimate.against) == (name, name)
    assert estimate.provider in ("CPU", "CPUExecutionProvider")
    assert estimate.threads >= 1
    assert (estimate.engine_version or "")[0].isdigit()


def test_a_file_is_timed_against_the_keras_model(tmp_path: Path) -> None:
    model = net()
    batch = timed_batch(model, random_inputs(model, samples=2), 2)
    path = exported(model, tmp_path / "original", "onnx")
    estimate = measure_in_engine(
        "onnx", detect("cpu"), KerasSide(model, batch), FileSide(path, batch), Question(0.01)
    )
    assert (estimate.engine, estimate.against, estimate.jit) == ("onnx", "keras", False)
    assert estimate.verdict == "pass"


class Sessions:
    """ONNX Runtime that lists a provider for a GPU; ``starts`` says whether it can be used."""

    def __init__(self, starts: bool) -> None:
        self.starts, self.wanted = starts, [""]

    def get_available_providers(self) -> list[str]:
        return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, path: str, sess_options: Any, providers: list[str]) -> Any:  # noqa: N802
        self.wanted = providers
        used = providers[1] if self.starts else "CPUExecutionProvider"
        return SimpleNamespace(
            get_inputs=list, get_outputs=list, get_providers=lambda: [used, "CPUExecutionProvider"]
        )

    def __getattr__(self, name: str) -> Any:
        import onnxruntime

        return getattr(onnxruntime, name)


def test_onnx_runtime_uses_the_gpu_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Sessions(starts=True)
    monkeypatch.setattr(onnx, "onnxruntime", runtime)
    loaded = onnx.load(tmp_path / "net.onnx", Settings("gpu"))
    assert loaded.facts.provider == "CUDAExecutionProvider"
    assert runtime.wanted == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]


def test_onnx_runtime_never_falls_back_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "onnxruntime", Sessions(starts=False))
    with pytest.raises(NoEngineDeviceError, match="runs it by CPUExecutionProvider, because"):
        onnx.load(tmp_path / "net.onnx", Settings("gpu"))


@pytest.mark.parametrize(
    "engine, reason",
    [
        (onnx, "has no provider for a GPU here, only .*: install onnxruntime-gpu"),
        (openvino, "OpenVINO finds no GPU here, only CPU"),
        (litert, "runs on the CPU only: write device: cpu"),
    ],
)
def test_a_gpu_that_an_engine_cannot_use_is_told(engine: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NoEngineDeviceError, match=reason):
        engine.gpu()
    with pytest.raises(NoEngineDeviceError, match=reason):
        engine.load(tmp_path / "none", Settings("gpu"))


def test_a_process_that_times_files_does_not_import_keras() -> None:
    code = (
        "import sys; from kito.export.engines import onnx, openvino, litert, worker; "
        "print([x for x in ('keras', 'tensorflow') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
