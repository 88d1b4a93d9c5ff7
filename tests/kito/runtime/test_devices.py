from __future__ import annotations

from typing import Any

import keras
import pytest

from imaginary import ImaginaryBackend, Nvml
from kito.errors import KitoError
from kito.runtime.backends import select
from kito.runtime.devices import (
    Device,
    compiled_call,
    detect,
    environment,
    prepare,
    transfer_call,
    uses_jit,
)
from kito.runtime.processor import cpu_name
from kito.runtime.random_inputs import random_inputs


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> ImaginaryBackend:
    backend = ImaginaryBackend(["Imaginary 1", "Imaginary 2"])
    monkeypatch.setattr(select, "current", lambda: backend)
    return backend


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
        monkeypatch.setattr(select, "current", lambda: ImaginaryBackend([]))
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
        assert found["clocks_mhz"] == {"sm": [1000, 1500], "memory": [5000, 6000]}
        assert (found["power_w"], found["temperature_c"], found["throttled"]) == (70.0, 55, [])
        assert found["backend_version"] == "9.9"


def test_a_call_gets_its_batch_in_the_model_s_structure(two_gpus: ImaginaryBackend) -> None:
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model({"right": right, "left": left}, keras.layers.Add()([left, right]))
    batch = random_inputs(model, samples=3)
    gpu = Device("gpu", "Imaginary 1")
    compiled_call(model, batch, gpu)
    compiled_call(model, batch, gpu, jit=False)
    transfer_call(model, batch, gpu)
    assert [jit for _, _, jit in two_gpus.compiled] == [True, False]
    for arguments, kind in [*(x[:2] for x in two_gpus.compiled), *two_gpus.transferred]:
        assert kind == "gpu"
        assert arguments["left"] is batch["left"]
        assert arguments["right"] is batch["right"]


def test_the_backend_is_told_what_is_wanted(two_gpus: ImaginaryBackend) -> None:
    prepare("cpu")
    assert two_gpus.prepared == ["cpu"]
    model = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    assert uses_jit(model, "auto", Device("gpu", "Imaginary 1"))
    assert not uses_jit(model, "auto", Device("cpu", "Imaginary 2"))
    assert uses_jit(model, "on", Device("cpu", "Imaginary 2"))
