"""LiteRT's interpreter, which runs on the CPU.

Inputs and outputs are found by their names in the signature ``serving_default``; their positions in
the file mean nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter

from kito.export.engines.protocol import Batch, Facts, NoEngineDeviceError, Settings
from kito.runtime.quiet import filtered_stderr

_SIGNATURE = "serving_default"


class Interpreted:
    """See :class:`kito.export.engines.protocol.EngineModel`."""

    def __init__(self, interpreter: Any, threads: int | None) -> None:
        self._interpreter = interpreter
        signature = interpreter.get_signature_list()[_SIGNATURE]
        self._names = list(signature["outputs"])
        self.facts = Facts(
            takes=tuple(signature["inputs"]),
            returns=tuple(frozenset({name}) for name in self._names),
            version=version("ai-edge-litert"),
            provider="CPU",
            threads=threads,
        )

    def run(self, batch: Batch) -> Any:
        # The interpreter can be called itself only while no such runner exists.
        runner = self._interpreter.get_signature_runner(_SIGNATURE)
        values = runner(**{name: batch[name] for name in self.facts.takes})
        return [values[name] for name in self._names]

    def prepared(self, batch: Batch) -> Callable[[], None]:
        interpreter = self._interpreter
        inputs = interpreter.get_signature_runner(_SIGNATURE).get_input_details()
        for name in self.facts.takes:
            interpreter.resize_tensor_input(inputs[name]["index"], batch[name].shape)
        interpreter.allocate_tensors()
        for name in self.facts.takes:
            interpreter.set_tensor(inputs[name]["index"], batch[name])

        def call() -> None:
            interpreter.invoke()

        return call


def load(path: Path, settings: Settings) -> Interpreted:
    """See :class:`kito.export.engines.protocol.Engine`."""
    if settings.kind == "gpu":
        gpu()
    interpreter = Interpreter(model_path=str(path), num_threads=settings.threads)
    # LiteRT logs here which delegate it has created. An error will come again when it runs.
    with filtered_stderr(), contextlib.suppress(RuntimeError):
        interpreter.allocate_tensors()
    return Interpreted(interpreter, settings.threads)


def gpu() -> str:
    """See :class:`kito.export.engines.protocol.Engine`."""
    raise NoEngineDeviceError(
        "LiteRT's interpreter for Python runs on the CPU only: write device: cpu for it"
    )
