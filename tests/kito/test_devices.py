from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from kito import backends
from kito.devices import Device, compiled_call, cpu_name, detect, environment, gpu_figures
from kito.errors import KitoError
from kito.inputs import random_inputs


class ImaginaryBackend:
    """A backend with as many GPUs as we like."""

    def __init__(self, gpus: list[str]) -> None:
        self._gpus = gpus
        self.compiled: list[tuple[Any, str]] = []

    def version(self) -> str:
        return "9.9"

    def gpu_names(self) -> list[str]:
        return self._gpus

    def threads(self) -> int | None:
        return None

    def compiled_call(self, model: keras.Model, arguments: Any, kind: str) -> Callable[[], None]:
        self.compiled.append((arguments, kind))
        return lambda: None


class Nvml:
    """What we use of the module ``pynvml``."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2

    def __init__(self) -> None:
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"550.54"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return {"GPU-abc": 5}[uuid]

    def nvmlDeviceGetClockInfo(self, gpu: int, clock: int) -> int:  # noqa: N802
        return 1000 * clock + gpu

    def nvmlDeviceGetMaxClockInfo(self, gpu: int, clock: int) -> int:  # noqa: N802
        return 2000 * clock + gpu

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: int) -> int:  # noqa: N802
        return 0x01 | 0x04 | 0x40


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> ImaginaryBackend:
    backend = ImaginaryBackend(["Imaginary 1", "Imaginary 2"])
    monkeypatch.setattr(backends, "current", lambda: backend)
    return backend


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return nvml


@pytest.fixture
def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


class TestDetect:
    @pytest.mark.parametrize("kind", ["auto", "gpu"])
    def test_takes_the_first_gpu(self, kind: Any, two_gpus: ImaginaryBackend, nvml: Nvml) -> None:
        assert detect(kind) == Device("gpu", "Imaginary 1", "550.54")

    @pytest.mark.usefixtures("no_nvml", "two_gpus")
    def test_knows_no_driver_without_nvml(self) -> None:
        assert detect("gpu").driver is None

    @pytest.mark.usefixtures("two_gpus")
    def test_takes_the_cpu_where_that_is_asked_for(self) -> None:
        assert detect("cpu") == Device("cpu", cpu_name(), None)

    def test_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backends, "current", lambda: ImaginaryBackend([]))
        assert detect().kind == "cpu"
        with pytest.raises(KitoError, match=r"there is no GPU that .* can use: install"):
            detect("gpu")

    def test_knows_no_other_kind(self) -> None:
        with pytest.raises(KitoError, match="'tpu'; allowed: auto, cpu, gpu"):
            detect("tpu")  # type: ignore[arg-type]


class TestEnvironment:
    def test_of_this_machine(self) -> None:
        found = environment(detect("cpu"))
        assert found["backend"] == keras.backend.backend()
        assert found["keras"] == keras.__version__
        assert (found["device"], found["device_name"]) == ("cpu", found["cpu"])
        assert found["driver"] is None
        assert found["threads"] >= 1
        assert found["dtype_policy"] == "float32"
        assert "clocks_mhz" not in found

    @pytest.mark.usefixtures("two_gpus", "nvml")
    def test_of_a_gpu_has_its_clocks(self) -> None:
        found = environment(detect())
        assert (found["device_name"], found["driver"]) == ("Imaginary 1", "550.54")
        assert found["clocks_mhz"] == {"sm": [1000, 2000], "memory": [2000, 4000]}
        assert found["throttled"] == ["software power cap", "hardware thermal slowdown"]
        assert found["backend_version"] == "9.9"


class TestGpuFigures:
    @pytest.mark.parametrize("visible, gpu", [("", 0), ("3,1", 3), ("GPU-abc", 5)])
    def test_are_of_the_gpu_that_is_visible(
        self, visible: str, gpu: int, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpu_figures()["clocks_mhz"]["sm"] == [1000 + gpu, 2000 + gpu]
        assert nvml.open == 0

    def test_are_those_that_the_gpu_tells(
        self, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> int:
            raise RuntimeError("Not Supported")

        monkeypatch.setattr(nvml, "nvmlDeviceGetClockInfo", refuse)
        assert gpu_figures() == {"driver": "550.54"}
        assert nvml.open == 0

    @pytest.mark.usefixtures("no_nvml")
    def test_are_none_without_the_package(self) -> None:
        assert gpu_figures() == {}

    def test_are_none_without_a_driver(self, nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise OSError("Driver Not Loaded")

        monkeypatch.setattr(nvml, "nvmlInit", fail)
        assert gpu_figures() == {}


def test_the_cpu_has_a_name_on_any_system(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Imaginary: 64 cores\nflags\t: fpu\n")
    assert cpu_name(cpuinfo) == "Imaginary: 64 cores"
    cpuinfo.write_text("processor\t: 0\n")
    assert cpu_name(cpuinfo)
    assert cpu_name(tmp_path / "missing")


def test_a_call_gets_its_batch_in_the_model_s_structure(two_gpus: ImaginaryBackend) -> None:
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model({"right": right, "left": left}, keras.layers.Add()([left, right]))
    batch = random_inputs(model, samples=3)
    compiled_call(model, batch, Device("gpu", "Imaginary 1"))
    ((arguments, kind),) = two_gpus.compiled
    assert kind == "gpu"
    assert arguments["left"] is batch["left"]
    assert arguments["right"] is batch["right"]
