"""``litert``: a ``.tflite`` file, run by LiteRT's interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kito.export.engines.protocol import Settings
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.convolutions import with_convolutions
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    if rewrite:
        model = with_convolutions(model, affines=True)
    export(interface.with_named_outputs(model), path, "litert")


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    return path


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    from kito.export.engines import litert as engine

    file = engine.load(native(path, scratch), Settings())
    return bound(file.facts, file.run, path.name, interface)
