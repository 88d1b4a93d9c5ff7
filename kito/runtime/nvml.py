"""What NVML, NVIDIA's management library, tells of a GPU: at one moment, or while models run.

Nobody of us had a GPU: this is written to the documentation of NVML (the package ``nvidia-ml-py``,
extra ``gpu``) and tested with a stand-in for it only. Without the package or a driver there are no
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
"""The part of the clock at the start below which a GPU has slowed down."""
EVERY_S = 0.5
"""Seconds between two looks; one costs about a millisecond, between the calls that are timed."""
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
_SETTINGS = {"application clocks setting", "display clock setting", "sync boost"}
"""What somebody chose, or several GPUs agreed on: a lower clock, but a steady one."""


@dataclass(frozen=True)
class GpuState:
    """A GPU at one moment; what it does not tell is None.

    Attributes:
        sm_mhz: clock of the multiprocessors, now and at most.
        memory_mhz: clock of the memory, now and at most.
        power_w: power drawn, in watts.
        temperature_c: temperature, in degrees Celsius.
        throttled: what keeps the clocks down.
    """

    sm_mhz: tuple[int, int] | None
    memory_mhz: tuple[int, int] | None
    power_w: float | None
    temperature_c: int | None
    throttled: tuple[str, ...]


def driver() -> str | None:
    """Version of the driver; None where NVML does not tell."""
    with _library() as nvml:
        if nvml is None:
            return None
        return _told(lambda: _text(nvml.nvmlSystemGetDriverVersion()))


def gpu_state() -> GpuState | None:
    """The first visible GPU now; None where NVML tells nothing of it."""
    with _library() as nvml:
        if nvml is None:
            return None
        gpu = _told(lambda: _visible_gpu(nvml))
        return None if gpu is None else _state(nvml, gpu)


class GpuWatch:
    """Looks at the GPU now and then while something runs on it, and says how it went."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._next = -float("inf")
        self._seen: list[GpuState] = []

    def look(self) -> None:
        """Note how the GPU is, if the last look was long enough ago."""
        if self._clock() < self._next:
            return
        state = gpu_state()
        # A library that tells nothing now will tell nothing later.
        self._next = float("inf") if state is None else self._clock() + EVERY_S
        if state is not None:
            self._seen.append(state)

    def figures(self) -> dict[str, Any] | None:
        """What was seen, as the JSON report has it; None where nothing was.

        Keys: ``clocks_mhz`` (``{"sm": [first, lowest, most], "memory": …}``), ``power_w`` and
        ``temperature_c`` (``[first, highest]``), ``throttled`` (every reason that was seen).
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
        """What makes the figures of this run doubtful, in words."""
        figures = self.figures()
        if figures is None:
            return []
        found = []
        for name, (first, lowest, _) in figures["clocks_mhz"].items():
            if lowest < FELL * first:
                found.append(
                    f"the GPU's {name} clock fell from {first} to {lowest} MHz while it was timed"
                )
        slowed = [x for x in figures["throttled"] if x not in _SETTINGS]
        if slowed:
            found.append(f"the GPU was slowed down by: {', '.join(slowed)}")
        return found


def _state(nvml: Any, gpu: Any) -> GpuState:
    def clock(kind: int) -> tuple[int, int] | None:
        return _told(
            lambda: (
                int(nvml.nvmlDeviceGetClockInfo(gpu, kind)),
                int(nvml.nvmlDeviceGetMaxClockInfo(gpu, kind)),
            )
        )

    power = _told(lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000)  # milliwatts
    degrees = _told(lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))
    reasons = _told(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)) or 0
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
    except Exception:  # its errors are its own, and no figure is worth a failure
        yield None
        return
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def _told(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except Exception:  # some GPUs tell only a part
        return None


def _visible_gpu(nvml: Any) -> Any:
    """NVML counts all GPUs, the backend only those that CUDA_VISIBLE_DEVICES leaves it."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdecimal() else 0)


def _clocks(seen: list[tuple[int, int] | None]) -> list[int]:
    told = [x for x in seen if x is not None]
    return [told[0][0], min(x[0] for x in told), told[0][1]] if told else []


def _rise(seen: list[Any]) -> list[Any] | None:
    told = [x for x in seen if x is not None]
    return [told[0], max(told)] if told else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # older NVML packages: bytes
