"""``onnx``: run by ONNX Runtime on the CPU.

Keras exports through tf2onnx. The graph is then rewritten so that engines run the same function
faster (:mod:`kito.export.onnx_graph.rewrite`). The file's inputs and outputs have the model's names
and order; everything inside gets new names (:mod:`kito.export.onnx_graph.names`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kito.export.engines.protocol import Settings
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.export.onnx_graph.missing import add_missing_conversions
from kito.export.onnx_graph.names import make_canonical
from kito.export.onnx_graph.rewrite import rewrite_graph


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    import onnx

    add_missing_conversions()
    export(interface.with_named_outputs(model), path, "onnx")
    exported = onnx.load(str(path))
    if rewrite:
        rewrite_graph(exported)
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
