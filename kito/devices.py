"""Where inference runs: which device, what it is called, and what else a figure depends on.

A GPU was never at hand: what is specific to one is tested with a simulated device only.
"""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras

from kito import backends
from kito.errors import KitoError
from kito.inputs import Inputs, call_arguments

Kind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Device:
    """A device that models run on.

    Attributes:
        kind: ``cpu`` or ``gpu``.
        name: as its maker calls it, such as ``NVIDIA A10G``.
        driver: version of a GPU's driver; None where nothing tells it.
    """

    kind: Kind
    name: str
    driver: str | None = None


def detect(kind: Literal["auto", "cpu", "gpu"] = "auto") -> Device:
    """The device to run on; ``auto`` is the GPU where the backend finds one, else the CPU.

    Raises:
        KitoError: a GPU is asked for and the backend finds none.
    """
    if kind not in ("auto", "cpu", "gpu"):
        raise KitoError(f"there is no device {kind!r}; allowed: auto, cpu, gpu")
    names = [] if kind == "cpu" else backends.current().gpu_names()
    if names:
        return Device("gpu", names[0], gpu_figures().get("driver"))
    if kind == "gpu":
        raise KitoError(
            f"there is no GPU that {keras.backend.backend()} can use: install its build for "
            "GPUs, check with nvidia-smi that the driver sees one, and that "
            "CUDA_VISIBLE_DEVICES does not hide it"
        )
    return Device("cpu", cpu_name())


def compiled_call(model: keras.Model, batch: Inputs, device: Device) -> Callable[[], None]:
    """One compiled inference call of the backend, on a batch that is already on the device.

    TensorFlow: one ``tf.function``; JAX: ``jax.jit``; PyTorch: ``torch.inference_mode``. It is
    traced here, and each call returns only when the device has done its work.

    Args:
        model: a built model.
        batch: by input name, first axis = samples.
        device: from :func:`detect`.

    Raises:
        KitoError: the model's weights are on another device, or the backend cannot be timed.
    """
    return backends.current().compiled_call(model, call_arguments(model, batch), device.kind)


def environment(device: Device) -> dict[str, Any]:
    """What a figure that was measured here depends on, as the JSON report has it.

    Keys: ``python``, ``keras``, ``backend``, ``backend_version``, ``device``, ``device_name``,
    ``driver``, ``cpu``, ``threads``, ``xla``, ``dtype_policy``; on a GPU that NVML tells of, also
    ``clocks_mhz`` (``{"sm": [now, most], "memory": [now, most]}``) and ``throttled`` (reasons).
    """
    backend = backends.current()
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "backend_version": backend.version(),
        "device": device.kind,
        "device_name": device.name,
        "driver": device.driver,
        "cpu": cpu_name(),
        "threads": backend.threads() or _processors(),
        "xla": keras.backend.backend() == "jax",
        "dtype_policy": keras.config.dtype_policy().name,
    }
    if device.kind == "gpu":
        figures = gpu_figures()
        found |= {key: figures[key] for key in ("clocks_mhz", "throttled") if key in figures}
    return found


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model where the system tells it, else its architecture."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or "unknown"


def gpu_figures() -> dict[str, Any]:
    """The first visible GPU's ``driver``, ``clocks_mhz`` and ``throttled``, where NVML tells them.

    Empty where the package ``nvidia-ml-py`` or the driver is missing, or the driver refuses.
    """
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # its errors are its own, and no figure is worth a failure
        return {}
    found: dict[str, Any] = {}
    try:
        found["driver"] = _text(nvml.nvmlSystemGetDriverVersion())
        gpu = _visible_gpu(nvml)
        clocks = {"sm": nvml.NVML_CLOCK_SM, "memory": nvml.NVML_CLOCK_MEM}
        found["clocks_mhz"] = {
            name: [nvml.nvmlDeviceGetClockInfo(gpu, x), nvml.nvmlDeviceGetMaxClockInfo(gpu, x)]
            for name, x in clocks.items()
        }
        reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
        found["throttled"] = [name for bit, name in _THROTTLED.items() if reasons & bit]
    except Exception:  # some GPUs tell only a part
        return found
    finally:
        nvml.nvmlShutdown()
    return found


_THROTTLED = {
    0x02: "application clocks setting",
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clock setting",
}
"""Bits of ``nvmlClocksThrottleReasons``; idle (0x01) slows nothing down that is asked for."""


def _visible_gpu(nvml: Any) -> Any:
    """NVML counts all GPUs, the backend only those that CUDA_VISIBLE_DEVICES leaves it."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdecimal() else 0)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # older NVML packages: bytes


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
