"""OpenVINO in float32, on the CPU or on a GPU of Intel; the GPU is untested.

On CPUs with bfloat16, OpenVINO runs a float32 file in bfloat16 unless ``INFERENCE_PRECISION_HINT``
is ``f32``. The hint cannot be stored in the file: whoever runs it must set it, as this module does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openvino

from kito.export.engines.protocol import Batch, Facts, NoEngineDeviceError, Settings

PRECISION = "f32"


class Compiled:
    """See :class:`kito.export.engines.protocol.EngineModel`."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        # One tensor may be several outputs: then it has the names of all of them.
        self.facts = Facts(
            takes=tuple(x.any_name for x in compiled.inputs),
            returns=tuple(frozenset(x.names) for x in compiled.outputs),
            version=version("openvino"),
            provider=", ".join(compiled.get_property("EXECUTION_DEVICES")),
            precision=str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()),
            threads=_threads(compiled),
        )

    def run(self, batch: Batch) -> Any:
        values = self._compiled({name: batch[name] for name in self.facts.takes})
        return [values[place] for place in range(len(self._compiled.outputs))]

    def prepared(self, batch: Batch) -> Callable[[], None]:
        request = self._compiled.create_infer_request()
        for name in self.facts.takes:
            request.set_tensor(name, openvino.Tensor(batch[name]))
        return lambda: request.infer(share_outputs=True)


def load(path: Path, settings: Settings) -> Compiled:
    """See :class:`kito.export.engines.protocol.Engine`."""
    runtime = core()
    if settings.kind == "gpu":
        gpu()
    hints: dict[str, Any] = {"INFERENCE_PRECISION_HINT": PRECISION}
    if settings.threads is not None:
        hints["PERFORMANCE_HINT"] = "LATENCY"
        if settings.kind == "cpu":
            hints["INFERENCE_NUM_THREADS"] = settings.threads
    device = settings.kind.upper()
    return Compiled(runtime.compile_model(runtime.read_model(path), device, hints))


def gpu() -> str:
    """See :class:`kito.export.engines.protocol.Engine`."""
    runtime = core()
    there = runtime.available_devices
    if not any(name.startswith("GPU") for name in there):
        raise NoEngineDeviceError(
            f"OpenVINO finds no GPU here, only {', '.join(there)}: it uses those of Intel, by "
            "their OpenCL driver"
        )
    return str(runtime.get_property("GPU", "FULL_DEVICE_NAME"))


def core() -> Any:
    """OpenVINO's core, which lets go of a file once it is loaded."""
    runtime = openvino.Core()
    # On some systems a file that is mapped into memory cannot be renamed or removed.
    runtime.set_property({"ENABLE_MMAP": False})
    return runtime


def _threads(compiled: Any) -> int | None:
    try:
        # 0: its own choice.
        return int(compiled.get_property("INFERENCE_NUM_THREADS")) or None
    except RuntimeError:  # a GPU has no such property
        return None
