"""ONNX Runtime: on the CPU, or on a GPU by TensorRT or CUDA; the GPU is untested.

ONNX Runtime falls back to the CPU where the libraries of a GPU are missing. So what a session says
that it uses is compared with what was requested.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime

from kito.export.engines.protocol import Batch, Facts, NoEngineDeviceError, Settings

_CPU = "CPUExecutionProvider"
_GPU = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
"""The fastest first; what TensorRT does not support, CUDA runs."""


class Session:
    """See :class:`kito.export.engines.protocol.EngineModel`."""

    def __init__(self, session: Any, threads: int | None) -> None:
        self._session = session
        self._names = [x.name for x in session.get_outputs()]
        self.facts = Facts(
            takes=tuple(x.name for x in session.get_inputs()),
            returns=tuple(frozenset({name}) for name in self._names),
            version=str(onnxruntime.__version__),
            provider=str(session.get_providers()[0]),
            threads=threads,
        )

    def run(self, batch: Batch) -> Any:
        return self._session.run(self._names, {name: batch[name] for name in self.facts.takes})

    def prepared(self, batch: Batch) -> Callable[[], None]:
        session, names = self._session, self._names
        if self.facts.provider == _CPU:
            fed = {name: batch[name] for name in self.facts.takes}
            return lambda: session.run(names, fed)
        binding = session.io_binding()
        for name in self.facts.takes:
            value = onnxruntime.OrtValue.ortvalue_from_numpy(batch[name], "cuda", 0)
            binding.bind_ortvalue_input(name, value)
        for name in names:
            binding.bind_output(name, "cuda")

        def call() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return call


def load(path: Path, settings: Settings) -> Session:
    """See :class:`kito.export.engines.protocol.Engine`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if settings.threads is not None:
        options.intra_op_num_threads = settings.threads
        # Threads that spin after a call would take the processor from the next file's call.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    wanted = [_CPU] if settings.kind == "cpu" else _gpu_providers()
    session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=wanted)
    used = session.get_providers()[0]
    if used not in wanted:
        raise NoEngineDeviceError(
            f"ONNX Runtime runs it by {used}, because {' and '.join(wanted)} cannot start here: "
            "check that the versions of CUDA, cuDNN and TensorRT are those of its release"
        )
    return Session(session, settings.threads)


def gpu() -> str:
    """See :class:`kito.export.engines.protocol.Engine`."""
    _gpu_providers()
    return ""


def _gpu_providers() -> list[str]:
    there = onnxruntime.get_available_providers()
    found = [name for name in _GPU if name in there]
    if not found:
        raise NoEngineDeviceError(
            f"ONNX Runtime {onnxruntime.__version__} has no provider for a GPU here, only "
            f"{', '.join(there)}: install onnxruntime-gpu in the place of onnxruntime"
        )
    return found
