"""A file of an artifact, opened by the engine of its format."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kito.export.failure import failure
from kito.export.formats.base import LoadedArtifact
from kito.export.formats.interface import Interface
from kito.export.formats.names import FormatInfo
from kito.export.own_file import advice
from kito.graph.functional import as_functional

Load = Callable[[Path, Path, Interface, Any], LoadedArtifact]
"""See :meth:`kito.export.formats.base.Format.load`."""


@contextmanager
def opened(
    path: Path,
    info: FormatInfo,
    original: Any,
    custom_objects: Mapping[str, Any] | None = None,
    load: Load | None = None,
) -> Iterator[LoadedArtifact]:
    """In the block, a file that its engine has loaded.

    Args:
        path: the file, which is only read.
        info: its format, whose packages are installed.
        original: the model that it stands for, whose inputs and outputs it must have.
        custom_objects: what a Keras model needs to be loaded, by name; other formats need none.
        load: loads the file; None for the format's own, which runs the engine in this process.

    Raises:
        KitoError: the file cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="kito-") as scratch:
        try:
            interface = Interface.of(as_functional(original))
            load = load or info.implementation().load
            loaded = load(path, Path(scratch), interface, custom_objects)
        except Exception as error:
            what = f"'{path.name}' cannot be loaded by {info.engine}"
            why = advice(info, original, custom_objects)
            raise failure(what, error, why, path.parent) from error
        yield loaded
