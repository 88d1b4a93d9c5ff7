"""``openvino``: OpenVINO's ``.xml`` and ``.bin`` as one archive, run by OpenVINO in float32.

How it is run, and in which precision, is in :mod:`kito.export.engines.openvino`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kito.export.engines.protocol import Settings
from kito.export.formats import archives
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.convolutions import with_convolutions
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.export.formats.numbering import Numbering
from kito.export.formats.torch_program import export_program, quiet_export
from kito.graph.torch_model import TorchModel

_COUNTER = r"_\d+$"
"""What OpenVINO appends to the type of an operation to make its name."""
_FORMER_NAMES = re.compile(rb'\s*<attribute name="fused_names"[^>]*/>')
"""The names that operations had before. In those, OpenVINO counts up while the process lives."""


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    import openvino

    from kito.export.engines.openvino import core

    exported = path.with_name("exported.xml")
    if isinstance(model, TorchModel):
        _export_module(model, exported, interface)
    else:
        if rewrite:
            model = with_convolutions(model)
        export(interface.with_named_outputs(model), exported, "openvino")
    loaded = core().read_model(exported)
    ordered = openvino.Model(_in_order(loaded, interface), loaded.get_parameters(), model.name)
    names = Numbering(_COUNTER, interface.inputs)
    for operation in ordered.get_ordered_ops():
        operation.set_friendly_name(names(operation.get_friendly_name()))
    folder = path.with_name("packed")
    folder.mkdir()
    openvino.serialize(ordered, folder / f"{name}.xml", folder / f"{name}.bin")
    archives.pack(folder, path, name)


def _export_module(model: TorchModel, path: Path, interface: Interface) -> None:
    """Write a module as OpenVINO's two files, with the names of the interface."""
    import openvino

    with quiet_export():
        converted = openvino.convert_model(export_program(model))
    for port, name in zip(converted.inputs, interface.inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    names = model.in_module_order(interface.outputs)
    for port, name in zip(converted.outputs, names, strict=True):
        port.get_tensor().set_names({name})
    shapes = {name: [-1, *x.shape[1:]] for name, x in model.examples.items()}
    converted.reshape(shapes)
    openvino.serialize(converted, path)
    path.write_bytes(_FORMER_NAMES.sub(b"", path.read_bytes()))


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    [file] = archives.unpack(path, scratch).glob("*.xml")
    return file


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    from kito.export.engines import openvino as engine

    file = engine.load(native(path, scratch), Settings())
    return bound(file.facts, file.run, path.name, interface)


def _in_order(model: Any, interface: Interface) -> list[Any]:
    """The results of a model in the order of the interface, one for each name."""
    remaining = list(model.outputs)
    ordered = []
    for name in interface.outputs:
        index = next((i for i, x in enumerate(remaining) if name in x.names), None)
        if index is None:
            return list(model.get_results())  # loading the file reports what is wrong
        ordered.append(remaining.pop(index).node)
    return ordered
