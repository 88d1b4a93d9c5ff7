"""``openvino``: OpenVINO's ``.xml`` and ``.bin`` as one archive, run by OpenVINO in float32.

On CPUs with bfloat16, OpenVINO runs a float32 file in bfloat16 unless ``INFERENCE_PRECISION_HINT``
is ``f32``. The hint cannot be stored in the file: whoever runs it must set it, as this module does.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from kito.export.formats import archives
from kito.export.formats.base import LoadedArtifact
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.export.formats.numbering import Numbering
from kito.runtime.engine import LoadedFile

PRECISION = "f32"
_COUNTER = r"_\d+$"
"""What OpenVINO appends to the type of an operation to make its name."""


def write(model: Any, path: Path, name: str, interface: Interface) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    import openvino

    exported = path.with_name("exported.xml")
    export(interface.with_named_outputs(model), exported, "openvino")
    loaded = _core().read_model(exported)
    ordered = openvino.Model(_in_order(loaded, interface), loaded.get_parameters(), model.name)
    names = Numbering(_COUNTER, interface.inputs)
    for operation in ordered.get_ordered_ops():
        operation.set_friendly_name(names(operation.get_friendly_name()))
    folder = path.with_name("packed")
    folder.mkdir()
    openvino.serialize(ordered, folder / f"{name}.xml", folder / f"{name}.bin")
    archives.pack(folder, path, name)


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    [file] = archives.unpack(path, scratch).glob("*.xml")
    core = _core()
    hints = {"INFERENCE_PRECISION_HINT": PRECISION}
    compiled = core.compile_model(core.read_model(file), "CPU", hints)
    takes = [x.any_name for x in compiled.inputs]
    # One tensor may be several outputs: then it has the names of all of them.
    places = {
        name: i
        for name in interface.outputs
        for i, x in enumerate(compiled.outputs)
        if name in x.names
    }
    others = [x.any_name for x in compiled.outputs if not x.names & set(interface.outputs)]
    interface.check(path.name, takes, [*places, *others])
    precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())

    def run(batch: Mapping[str, np.ndarray]) -> Any:
        values = compiled({name: batch[name] for name in takes})
        return interface.pack({name: values[place] for name, place in places.items()})

    return LoadedArtifact(LoadedFile(path.name, run), version("openvino"), precision)


def _core() -> Any:
    import openvino

    core = openvino.Core()
    # On some systems a file that is mapped into memory cannot be renamed or removed.
    core.set_property({"ENABLE_MMAP": False})
    return core


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
