"""``litert``: a ``.tflite`` file, run by LiteRT's interpreter.

Inputs and outputs are found by their names in the signature ``serving_default``; their positions in
the file mean nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from kito.export.formats.base import LoadedArtifact
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.runtime.engine import LoadedFile
from kito.runtime.quiet import filtered_stderr

_SIGNATURE = "serving_default"


def write(model: Any, path: Path, name: str, interface: Interface) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    export(interface.with_named_outputs(model), path, "litert")


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    # LiteRT logs here which delegate it has created. An error will come again when it runs.
    with filtered_stderr(), contextlib.suppress(RuntimeError):
        interpreter.allocate_tensors()
    signature = interpreter.get_signature_list()[_SIGNATURE]
    takes = signature["inputs"]
    interface.check(path.name, takes, signature["outputs"])
    runner = interpreter.get_signature_runner(_SIGNATURE)

    def run(batch: Mapping[str, np.ndarray]) -> Any:
        return interface.pack(runner(**{name: batch[name] for name in takes}))

    return LoadedArtifact(LoadedFile(path.name, run), version("ai-edge-litert"))
