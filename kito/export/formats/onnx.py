"""``onnx``: run by ONNX Runtime on the CPU.

Keras exports through tf2onnx. The file's inputs and outputs have the model's names and order;
everything inside gets new names (:mod:`kito.export.formats.onnx_names`). No value is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kito.export.engines.protocol import Settings
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.export.formats.onnx_names import make_canonical


def write(model: Any, path: Path, name: str, interface: Interface) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    import onnx

    export(interface.with_named_outputs(model), path, "onnx")
    exported = onnx.load(str(path))
    make_canonical(exported.graph, interface.outputs)
    exported.graph.name = model.name
    path.write_bytes(exported.SerializeToString(deterministic=True))


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    return path


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    from kito.export.engines import onnx as engine

    file = engine.load(native(path, scratch), Settings())
    return bound(file.facts, file.run, path.name, interface)
