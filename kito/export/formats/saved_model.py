"""``saved_model``: TensorFlow's SavedModel as one archive, run by TensorFlow.

``serve`` takes and returns what the model does, in the model's own structure; the signature
``serving_default`` does the same by name. TensorFlow adds a random fingerprint and writes variables
in varying order, so the bytes differ from run to run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kito.export.engines.protocol import Settings
from kito.export.formats import archives
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.graph.functional import as_functional


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    folder = path.with_name("exported")
    export(as_functional(model), folder, "tf_saved_model")
    archives.pack(folder, path, name)


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    return archives.unpack(path, scratch)


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    from kito.export.engines import saved_model as engine

    file = engine.load(native(path, scratch), Settings())
    return bound(file.facts, file.run, path.name, interface)
