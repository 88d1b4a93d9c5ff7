"""The check ``speedup[ENGINE-BATCH]``: what is timed, when it is skipped, and what survives."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from imaginary import GPU_NAME
from kito.errors import KitoError
from kito.export import engine_speedup as timing
from kito.export.engines.process import EngineFailedError, EngineProcess
from kito.export.engines.protocol import NoEngineDeviceError
from kito.export.formats import onnx
from kito.export.formats.names import available_format
from kito.runtime.devices import Device
from pytest_kito.checks.declared import InEngine, declared_checks
from pytest_kito.checks.engine_speedup import Session, _device, check_engine_speedup
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.outcome import CheckFailed, CheckSkipped
from pytest_kito.config.load import ModelSpec, load_config
from pytest_kito.config.schema import SpeedupSpec

pytestmark = pytest.mark.backends("tensorflow")  # it writes what the engines run

Repository = Callable[[str], pytest.Pytester]
CPU, GPU = Device("cpu", "EPYC"), Device("gpu", GPU_NAME)
ONE = """
    version: 1
    models:
      small:
        source: "nets:net"
        artifacts: [keras, onnx]
        speedup: {{device: cpu, batch_size: 1, budget_s: 4, engines: {{onnx: {{{engine}}}}}}}
"""


def run(folder: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    result = folder.runpytest_inprocess("--kito-check", "--kito-report=report.json", "-rs", *args)
    [model] = json.loads((folder.path / "report.json").read_text())["models"]
    return result, model


@pytest.fixture
def model(repository: Repository) -> Callable[[str], ModelRun]:
    """A declared model; its argument holds the keys of the engine."""

    def make(engine: str = "") -> ModelRun:
        folder = repository(ONE.format(engine=engine)).path
        [spec] = load_config(folder / "kito.yaml").models
        return ModelRun(spec, folder)

    return make


@pytest.fixture
def not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which no engine reads the files."""
    monkeypatch.setattr(ModelRun, "_file", lambda self, name, artifact_format: Path(name))


def check(run: ModelRun, session: Session | None = None) -> dict[str, Any]:
    return check_engine_speedup(run, InEngine("onnx", 1), session or Session(CPU))


class TestInTheGate:
    def test_the_proved_file_is_timed_after_it_was_written(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        timed: list[tuple[Path, Path]] = []
        measure = timing.measure_in_engine

        def recording(name: str, device: Any, original: Any, reduced: Any, *args: Any, **more: Any):  # type: ignore[no-untyped-def]
            timed.append((original.path, reduced.path))
            return measure(name, device, original, reduced, *args, **more)

        monkeypatch.setattr(timing, "measure_in_engine", recording)
        folder = repository(ONE.format(engine="batch_size: [1, 2], min: 0.01"))
        result, found = run(folder, "-v", "--kito-artifacts=out", "--junit-xml=junit.xml")
        result.assert_outcomes(passed=7)
        result.stdout.fnmatch_lines(
            [
                "*artifact[[]onnx] PASSED*",
                "*speedup[[]onnx-1] PASSED*",
                "*speedup[[]onnx-2] PASSED*",
                "*x [[]*, *] @2 onnx*",
            ]
        )
        first, second = timed
        assert (first[1].name, first[1].parent.parent.name) == ("small.onnx", "out")
        assert first == second  # the original is exported once
        assert not first[0].exists()
        entries = [(x["engine"], x["against"], x["batch_size"]) for x in found["speedup"]]
        assert entries == [("keras", "keras", 1), ("onnx", "onnx", 1), ("onnx", "onnx", 2)]
        assert found["speedup"][1]["provider"] == "CPUExecutionProvider"
        assert 'name="kito_engine" value="onnx"' in (folder.path / "junit.xml").read_text()
        manifest = json.loads((folder.path / "out" / "kito-manifest.json").read_text())
        [file] = [x for x in manifest["files"] if x["format"] == "onnx"]
        assert [x["engine"] for x in file["checks"]["speedup"]] == ["keras", "onnx", "onnx"]

    def test_a_minimum_that_is_not_reached_withholds_the_artifacts(
        self, repository: Repository
    ) -> None:
        folder = repository(ONE.format(engine="min: 1000, against: keras"))
        result, found = run(folder, "--kito-artifacts=out")
        result.assert_outcomes(passed=5, failed=1)
        result.stdout.fnmatch_lines(
            [
                "*small: speedup[[]onnx-1]: at most *, which is below the minimum 1000",
                "small.onnx is not published: speedup[[]onnx-1] failed",
            ]
        )
        last = found["speedup"][-1]
        assert (last["against"], last["verdict"], last["jit"]) == ("keras", "fail", False)

    def test_an_engine_that_crashes_fails_its_check_only(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(self: EngineProcess, key: str) -> float:
            os.kill(self._process.pid, signal.SIGSEGV)
            return prepared(self, key)

        prepared = EngineProcess.call
        monkeypatch.setattr(EngineProcess, "call", crash)
        result, _ = run(repository(ONE.format(engine="against: keras")))
        result.assert_outcomes(passed=5, failed=1)
        result.stdout.fnmatch_lines(
            ["*speedup[[]onnx-1]: ONNX Runtime crashed (SIGSEGV) while it ran the reduced *"]
        )


class TestTheOriginal:
    def test_that_cannot_be_exported_is_a_skip(
        self, model: Callable[[str], ModelRun], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = onnx.write

        def refusing(model: Any, path: Path, name: str, *more: Any) -> None:
            if name == "original":
                raise ValueError("Erfinv is not supported")
            write(model, path, name, *more)

        monkeypatch.setattr(onnx, "write", refusing)
        with pytest.raises(
            CheckSkipped, match="cannot be timed: 'net' cannot be written as onnx:"
        ) as caught:
            check(model(""))
        assert "not supported. Write against: keras to compare" in str(caught.value)
        data = check(model("against: keras"))
        assert (data["engine"], data["against"], data["skipped"]) == ("onnx", "keras", None)

    def test_that_computes_something_else_is_a_skip(
        self, model: Callable[[str], ModelRun], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = onnx.write

        def wrong(model: Any, path: Path, name: str, *more: Any) -> None:
            if name == "original":
                model = keras.models.clone_model(model)  # with other weights
            write(model, path, name, *more)

        monkeypatch.setattr(onnx, "write", wrong)
        with pytest.raises(CheckSkipped) as caught:
            check(model(""))
        [line], data = str(caught.value).splitlines(), caught.value.data
        reason = "'original.onnx', run by ONNX Runtime, differs: output 'scores' differs by 7"
        assert line.startswith(f"the original cannot be timed: {reason}")
        assert line.endswith(". Write against: keras to compare with the Keras model itself")
        assert data is not None
        assert (data["engine"], data["ratio"], data["pairs"]) == ("onnx", None, 0)

    @pytest.mark.parametrize("key", ["original", "control"])
    @pytest.mark.usefixtures("not_exported")
    def test_that_crashes_its_engine_is_a_skip(
        self, key: str, model: Callable[[str], ModelRun], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*args: Any, **more: Any) -> None:
            raise EngineFailedError("ONNX Runtime crashed", key)

        monkeypatch.setattr(timing, "measure_in_engine", crash)
        with pytest.raises(CheckSkipped, match="ONNX Runtime crashed"):
            check(model(""))


class TestTheArtifact:
    def test_that_did_not_pass_is_not_timed(self, model: Callable[[str], ModelRun]) -> None:
        run = model("")
        run.artifacts["onnx"] = None
        with pytest.raises(CheckFailed, match=r"^not timed: artifact\[onnx\] did not pass$"):
            check(run)

    @pytest.mark.usefixtures("not_exported")
    def test_that_crashes_its_engine_is_a_failure(
        self, model: Callable[[str], ModelRun], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*args: Any, **more: Any) -> None:
            raise EngineFailedError("ONNX Runtime crashed", "reduced")

        monkeypatch.setattr(timing, "measure_in_engine", crash)
        with pytest.raises(KitoError, match="ONNX Runtime crashed"):
            check(model(""))


@pytest.mark.parametrize(
    "keys, session, there, found",
    [
        ({"device": "cpu"}, Session(GPU), True, (cpu := "cpu", 1.1, "")),
        ({"device": "gpu"}, Session(GPU), True, ("gpu", 1.1, "")),
        # An engine may use a GPU that Keras cannot use.
        ({"device": "gpu"}, Session(CPU), True, ("gpu", 1.1, "")),
        ({"device": "any"}, Session(CPU), True, (cpu, 1.1, "")),
        ({"device": "any"}, Session(GPU), True, ("gpu", 1.1, "")),
        ({"device": "any"}, Session(GPU), False, (cpu, 1.1, "")),
        ({"device": "gpu"}, Session(CPU), False, (cpu, 1.1, "declared for device: gpu; no GPU")),
        (
            {"device": "gpu"},
            Session(CPU, "cpu"),
            True,
            (cpu, 1.1, "declared for device: gpu; "),
        ),
        ({"devices": {"T4": 2}, "min": None}, Session(GPU), True, ("gpu", None, "minimums are")),
        ({"devices": {"Arc": 2}}, Session(GPU), True, ("gpu", 2, "")),
    ],
)
def test_the_engine_runs_on_the_device_that_is_declared(
    keys: dict[str, Any],
    session: Session,
    there: bool,
    found: tuple[str, float | None, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gpu(self: EngineProcess) -> str:
        if not there:
            raise NoEngineDeviceError("no GPU")
        return "Arc"

    monkeypatch.setattr(EngineProcess, "gpu", gpu)
    spec = SpeedupSpec.model_validate({"engines": {"onnx": {"min": 1.1, **keys}}})
    device, minimum, reason = _device(spec.in_engine("onnx"), available_format("onnx"), session)
    kind, expected, why = found
    assert (device.kind, minimum, reason[: len(why)]) == (kind, expected, why)
    assert bool(reason) == bool(why)


def test_a_required_gpu_that_the_engine_lacks_is_a_failure(
    model: Callable[[str], ModelRun],
) -> None:
    with pytest.raises(CheckFailed, match=r"a GPU is required: ONNX Runtime .* has no provider"):
        check(model("device: gpu"), Session(GPU, "gpu"))


def test_keras_on_another_device_is_not_compared(model: Callable[[str], ModelRun]) -> None:
    with pytest.raises(CheckSkipped, match="ONNX Runtime runs on the cpu, the Keras model on the"):
        check(model("against: keras"), Session(GPU))


def test_the_checks_have_names_of_their_own() -> None:
    engines = {"onnx": {}, "litert": {"batch_size": 4}}
    spec = ModelSpec.model_validate(
        {
            "name": "m",
            "line": 1,
            "source": "a:b",
            "artifacts": ["onnx", "litert"],
            "speedup": {"batch_size": [1, 8], "engines": engines},
        }
    )
    assert [check.name for check in declared_checks(spec)][2:] == [
        "speedup[1]",
        "speedup[8]",
        "artifact[onnx]",
        "artifact[litert]",
        "speedup[onnx-1]",
        "speedup[onnx-8]",
        "speedup[litert-4]",
    ]
