"""``torch``: an exported program of PyTorch (``torch.export``), run by PyTorch on the CPU.

PyTorch puts a new identifier into each file, so the bytes differ from run to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kito.export.formats.base import LoadedArtifact
from kito.export.formats.interface import Interface
from kito.export.formats.torch_program import export_program, quiet_export
from kito.graph.torch_model import plain_outputs
from kito.runtime.engine import LoadedFile


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    with quiet_export():
        torch.export.save(export_program(model), path)


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    return path


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    with quiet_export():
        program = torch.export.load(path)
        module = program.module()
    takes = program.graph_signature.user_inputs
    types = {x.name: x.meta["val"].dtype for x in program.graph.nodes if x.op == "placeholder"}
    interface.check(path.name, interface.inputs[: len(takes)], interface.outputs)

    def run(batch: Mapping[str, np.ndarray]) -> Any:
        tensors = [
            torch.from_numpy(np.array(batch[key])).to(types[name])
            for key, name in zip(interface.inputs, takes, strict=True)
        ]
        with torch.inference_mode():
            return plain_outputs(module(*tensors))

    return LoadedArtifact(LoadedFile(path.name, run), str(torch.__version__))
