"""The state of a GPU, at one moment or while models run, read with NVIDIA's management library.

It is written to the documentation of that library, NVML (the package ``nvidia-ml-py``, extra
``gpu``), and was tried on one GPU. Without the package or a driver there are no
figures, and nothing fails.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

FELL = 0.95
"""A GPU has slowed down if its clock falls below this part of the clock at the start."""
EVERY_S = 0.5
"""Least seconds between two readings. Each takes about a millisecond, between the timed calls."""
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
"""Bits of ``nvmlClocksThrottleReasons``, without idle (0x01), which slows no work down."""
_SETTINGS = {"application clocks setting", "display clock setting", "sync boost"}
"""Reasons for a lower but steady clock: a user's setting, or synchronisation of several GPUs."""


@dataclass(frozen=True)
class GpuState:
    """A GPU at one moment; what it does not report is None.

    Attributes:
        sm_mhz: clock of the multiprocessors in MHz, now and at most.
        memory_mhz: clock of the memory in MHz, now and at most.
        power_w: power drawn, in watts.
        temperature_c: temperature, in degrees Celsius.
        throttled: the reasons that keep the clocks down.
    """

    sm_mhz: tuple[int, int] | None
    memory_mhz: tuple[int, int] | None
    power_w: float | None
    temperature_c: int | None
    throttled: tuple[str, ...]


def driver() -> str | None:
    """Version of the driver; None where NVML does not report it."""
    with _library() as nvml:
        if nvml is None:
            return None
        return _reported(lambda: _text(nvml.nvmlSystemGetDriverVersion()))


def gpu_state() -> GpuState | None:
    """The state of the first visible GPU; None where NVML does not report it."""
    with _library() as nvml:
        if nvml is None:
            return None
        gpu = _reported(lambda: _visible_gpu(nvml))
        return None if gpu is None else _state(nvml, gpu)


class GpuWatch:
    """Reads the state of the GPU from time to time while models run on it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._next = -float("inf")
        self._seen: list[GpuState] = []

    def look(self) -> None:
        """Read and note the state, if the last reading was long enough ago."""
        if self._clock() < self._next:
            return
        state = gpu_state()
        # If NVML reports nothing now, it will not later either.
        self._next = float("inf") if state is None else self._clock() + EVERY_S
        if state is not None:
            self._seen.append(state)

    def figures(self) -> dict[str, Any] | None:
        """The states that were read, as a section of the JSON report; None if there are none.

        Keys: ``clocks_mhz`` (``{"sm": [first, lowest, most], "memory": …}``), ``power_w`` and
        ``temperature_c`` (``[first, highest]``), ``throttled`` (every reason that occurred).
        """
        if not self._seen:
            return None
        clocks = {
            "sm": _clocks([x.sm_mhz for x in self._seen]),
            "memory": _clocks([x.memory_mhz for x in self._seen]),
        }
        return {
            "clocks_mhz": {name: span for name, span in clocks.items() if span},
            "power_w": _rise([x.power_w for x in self._seen]),
            "temperature_c": _rise([x.temperature_c for x in self._seen]),
            "throttled": list(dict.fromkeys(y for x in self._seen for y in x.throttled)),
        }

    def warnings(self) -> list[str]:
        """Sentences for people: what makes the figures of this run doubtful."""
        figures = self.figures()
        if figures is None:
            return []
        warnings = []
        for name, (first, lowest, _) in figures["clocks_mhz"].items():
            if lowest < FELL * first:
                warnings.append(
                    f"the GPU's {name} clock fell from {first} to {lowest} MHz while it was timed"
                )
        slowed = [x for x in figures["throttled"] if x not in _SETTINGS]
        if slowed:
            warnings.append(f"the GPU was slowed down by: {', '.join(slowed)}")
        return warnings


def _state(nvml: Any, gpu: Any) -> GpuState:
    def clock(kind: int) -> tuple[int, int] | None:
        return _reported(
            lambda: (
                int(nvml.nvmlDeviceGetClockInfo(gpu, kind)),
                int(nvml.nvmlDeviceGetMaxClockInfo(gpu, kind)),
            )
        )

    power = _reported(lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000)  # milliwatts
    degrees = _reported(lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))
    reasons = _reported(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)) or 0
    return GpuState(
        clock(nvml.NVML_CLOCK_SM),
        clock(nvml.NVML_CLOCK_MEM),
        power,
        degrees,
        tuple(name for bit, name in _THROTTLED.items() if reasons & bit),
    )


@contextmanager
def _library() -> Iterator[Any]:
    """NVML, initialised; None where the package or the driver is missing, or the driver refuses."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # NVML's errors have no common base, and a missing figure is no failure
        yield None
        return
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def _reported(ask: Callable[[], T]) -> T | None:
    """The answer of NVML; None where it raises."""
    try:
        return ask()
    except Exception:  # some GPUs report only some of the figures
        return None


def _visible_gpu(nvml: Any) -> Any:
    """The GPU that the backend uses; NVML itself ignores CUDA_VISIBLE_DEVICES."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdecimal() else 0)


def _clocks(readings: list[tuple[int, int] | None]) -> list[int]:
    """[first, lowest, most]; empty where there is no reading."""
    known = [x for x in readings if x is not None]
    return [known[0][0], min(x[0] for x in known), known[0][1]] if known else []


def _rise(readings: list[Any]) -> list[Any] | None:
    """[first, highest]; None where there is no reading."""
    known = [x for x in readings if x is not None]
    return [known[0], max(known)] if known else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # older NVML packages: bytes
