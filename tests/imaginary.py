"""A simulated GPU: the backend that finds it, and NVML, the library that reports on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras

from kito.runtime.backends import Jit
from kito.runtime.backends.tensorflow import TensorFlow

GPU_NAME = "Imaginary 1"


class ImaginaryBackend:
    """A backend with any number of GPUs, which computes nothing and records what it is asked."""

    def __init__(self, gpus: list[str]) -> None:
        self._gpus = gpus
        self.compiled: list[tuple[Any, str, bool]] = []
        self.transferred: list[tuple[Any, str]] = []
        self.prepared: list[str] = []

    def version(self) -> str:
        return "9.9"

    def gpu_names(self) -> list[str]:
        return self._gpus

    def threads(self) -> int | None:
        return None

    def prepare(self, kind: str) -> None:
        self.prepared.append(kind)

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        return kind == "gpu" if wanted == "auto" else wanted == "on"

    def full_float32(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        self.transferred.append((arguments, kind))
        return lambda: None

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        self.compiled.append((arguments, kind, jit))
        return lambda: None


class PretendingTensorFlow(TensorFlow):
    """TensorFlow that claims to have a GPU, and computes on the CPU."""

    def gpu_names(self) -> list[str]:
        return [GPU_NAME]

    def prepare(self, kind: str) -> None:
        """There is no device to choose."""

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        return super().transfer(arguments, "cpu")

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        return super().compiled_call(model, arguments, "cpu", jit=False)


class Nvml:
    """The part of the module ``pynvml`` that kito uses; attributes set the state of the GPU."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self) -> None:
        self.open = 0
        self.sm_mhz = 1000
        self.milliwatts = 70_000
        self.degrees = 55
        self.reasons = 0x01
        self.gpu = -1
        self.reports_clocks = True

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"550.54"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self.gpu = index
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        self.gpu = {"GPU-abc": 5}[uuid]
        return self.gpu

    def nvmlDeviceGetClockInfo(self, gpu: int, clock: int) -> int:  # noqa: N802
        if not self.reports_clocks:
            raise RuntimeError("Not Supported")
        return self.sm_mhz if clock == self.NVML_CLOCK_SM else 5000

    def nvmlDeviceGetMaxClockInfo(self, gpu: int, clock: int) -> int:  # noqa: N802
        return 1500 if clock == self.NVML_CLOCK_SM else 6000

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802
        return self.milliwatts

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:  # noqa: N802
        return self.degrees

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: int) -> int:  # noqa: N802
        return self.reasons
