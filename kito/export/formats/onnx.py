"""``onnx``: run by ONNX Runtime on the CPU.

Keras exports through tf2onnx. The file's inputs and outputs have the model's names and order;
everything inside gets new names (:mod:`kito.export.formats.onnx_names`). No value is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kito.export.formats.base import LoadedArtifact
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.export.formats.onnx_names import make_canonical
from kito.runtime.engine import LoadedFile


def write(model: Any, path: Path, name: str, interface: Interface) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    import onnx

    export(interface.with_named_outputs(model), path, "onnx")
    exported = onnx.load(str(path))
    make_canonical(exported.graph, interface.outputs)
    exported.graph.name = model.name
    path.write_bytes(exported.SerializeToString(deterministic=True))


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )
    takes = [x.name for x in session.get_inputs()]
    interface.check(path.name, takes, (x.name for x in session.get_outputs()))
    names = list(interface.outputs)

    def run(batch: Mapping[str, np.ndarray]) -> Any:
        values = session.run(names, {name: batch[name] for name in takes})
        return interface.pack(dict(zip(names, values, strict=True)))

    return LoadedArtifact(LoadedFile(path.name, run), str(onnxruntime.__version__))
