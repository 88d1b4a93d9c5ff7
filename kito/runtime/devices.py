"""The device that inference runs on, and the environment that measured figures depend on.

What is specific to a GPU was run on one, with JAX and PyTorch; with TensorFlow, on a simulated one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras

from kito.errors import KitoError
from kito.runtime import backends, nvml
from kito.runtime.backends import Jit
from kito.runtime.batch import Inputs, call_arguments
from kito.runtime.processor import cpu_name, processors

Kind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Device:
    """A device that models run on.

    Attributes:
        kind: ``cpu`` or ``gpu``.
        name: the maker's name for it, such as ``NVIDIA A10G``.
        driver: version of a GPU's driver; None on a CPU, and where it is unknown.
    """

    kind: Kind
    name: str
    driver: str | None = None


def detect(kind: Literal["auto", "cpu", "gpu"] = "auto", framework: str = "keras") -> Device:
    """The device to run on; ``auto`` is the GPU where the backend finds one, else the CPU.

    Args:
        kind: what is requested.
        framework: ``torch`` for PyTorch modules, ``keras`` for what Keras' backend runs.

    Raises:
        KitoError: a GPU is requested and the backend finds none.
    """
    if kind not in ("auto", "cpu", "gpu"):
        raise KitoError(f"there is no device {kind!r}; allowed: auto, cpu, gpu")
    names = [] if kind == "cpu" else backends.of_framework(framework).gpu_names()
    if names:
        return Device("gpu", names[0], nvml.driver())
    if kind == "gpu":
        backend = "torch" if framework == "torch" else keras.backend.backend()
        raise KitoError(
            f"there is no GPU that {backend} can use: install its build for "
            "GPUs, check with nvidia-smi that the driver sees one, and that "
            "CUDA_VISIBLE_DEVICES does not hide it"
        )
    return Device("cpu", cpu_name())


def prepare(kind: Literal["auto", "cpu", "gpu"] = "auto") -> None:
    """Choose the kind of device for this process, before anything is computed.

    With ``cpu`` the backend uses no GPU. Otherwise its memory on a GPU grows as needed, so that a
    check does not take the whole card. If the backend has already started, its use of memory cannot
    be changed.

    Raises:
        KitoError: the CPU is requested, and it is too late to choose it.
    """
    backends.of().prepare(kind)


def compiled_call(
    model: keras.Model, batch: Inputs, device: Device, jit: bool | None = None
) -> Callable[[], None]:
    """One compiled inference call of the backend, on a batch that is already on the device.

    TensorFlow: one ``tf.function``; JAX: ``jax.jit``; PyTorch: ``torch.inference_mode``. The call
    is traced before this function returns. Each call returns only when the device has finished.

    Args:
        model: a built model.
        batch: samples by input name, shape (samples, ...).
        device: the device to run on, from :func:`detect`.
        jit: whether XLA compiles it, from :func:`uses_jit`; None: as with ``auto`` there.

    Raises:
        KitoError: the model's weights are on another device, or the backend cannot be timed.
    """
    if jit is None:
        jit = uses_jit(model, "auto", device)
    return backends.of(model).compiled_call(model, call_arguments(model, batch), device.kind, jit)


def uses_jit(model: keras.Model, wanted: Jit, device: Device) -> bool:
    """Whether XLA compiles the calls of a model.

    Args:
        model: a built model.
        wanted: ``on``, ``off`` or ``auto``. With ``auto``, XLA always compiles with JAX and never
            with PyTorch; with TensorFlow, it compiles on a GPU where the model's own ``predict``
            does, and not on a CPU.
        device: the device that the calls run on.

    Raises:
        KitoError: the backend cannot do what is wanted.
    """
    return backends.of(model).jit(model, wanted, device.kind)


def transfer_call(model: keras.Model, batch: Inputs, device: Device) -> Callable[[], None]:
    """A function that copies a batch from the host to the device, and returns when that is done."""
    return backends.of(model).transfer(call_arguments(model, batch), device.kind)


def threads(model: Any = None) -> int:
    """How many threads one operation of a model may use; None is for a model of Keras."""
    return backends.of(model).threads() or processors()


def environment(device: Device) -> dict[str, Any]:
    """The environment that measured figures depend on: a section of the JSON report.

    Keys: ``python``, ``keras``, ``backend``, ``backend_version``, ``device``, ``device_name``,
    ``driver``, ``cpu``, ``threads``, ``dtype_policy``. On a GPU that NVML reports on, also
    ``clocks_mhz`` (``{"sm": [now, most], "memory": [now, most]}``), ``power_w``, ``temperature_c``
    and ``throttled`` (reasons).
    """
    backend = backends.of()
    values: dict[str, Any] = {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "backend_version": backend.version(),
        "device": device.kind,
        "device_name": device.name,
        "driver": device.driver,
        "cpu": cpu_name(),
        "threads": threads(),
        "dtype_policy": keras.config.dtype_policy().name,
    }
    state = nvml.gpu_state() if device.kind == "gpu" else None
    if state is not None:
        clocks = {"sm": state.sm_mhz, "memory": state.memory_mhz}
        values |= {
            "clocks_mhz": {name: list(span) for name, span in clocks.items() if span},
            "power_w": state.power_w,
            "temperature_c": state.temperature_c,
            "throttled": list(state.throttled),
        }
    return values
