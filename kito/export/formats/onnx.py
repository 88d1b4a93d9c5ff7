"""``onnx``: run by ONNX Runtime on the CPU.

Keras exports through tf2onnx, PyTorch through ``torch.export`` and onnxscript. The graph is then
rewritten so that engines run the same function faster (:mod:`kito.export.onnx_graph.rewrite`). The
file's inputs and outputs have the model's names and order; everything inside gets new names
(:mod:`kito.export.onnx_graph.names`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kito.export.engines.protocol import Settings
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.export.formats.torch_program import export_program, quiet_export
from kito.export.onnx_graph.missing import add_missing_conversions
from kito.export.onnx_graph.names import make_canonical
from kito.export.onnx_graph.origins import forget_origins
from kito.export.onnx_graph.rewrite import rewrite_graph
from kito.graph.torch_model import TorchModel


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    import onnx

    if isinstance(model, TorchModel):
        _export_module(model, path, interface)
    else:
        add_missing_conversions()
        export(interface.with_named_outputs(model), path, "onnx")
    exported = onnx.load(str(path))
    if rewrite:
        rewrite_graph(exported)
    make_canonical(exported.graph, interface.outputs)
    exported.graph.name = model.name
    path.write_bytes(exported.SerializeToString(deterministic=True))


def _export_module(model: TorchModel, path: Path, interface: Interface) -> None:
    import torch

    with quiet_export():
        program = torch.onnx.export(
            export_program(model),
            input_names=list(interface.inputs),
            output_names=model.in_module_order(interface.outputs),
            dynamo=True,
            verbose=False,
        )
    exported = program.model_proto
    forget_origins(exported.graph)
    path.write_bytes(exported.SerializeToString())


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    return path


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    from kito.export.engines import onnx as engine

    file = engine.load(native(path, scratch), Settings())
    return bound(file.facts, file.run, path.name, interface)
