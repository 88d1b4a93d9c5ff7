"""What every format does: write a model into a file, and have its engine load such a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kito.export.formats.interface import Interface


@dataclass(frozen=True)
class LoadedArtifact:
    """A file that its engine has loaded.

    Attributes:
        model: what runs it: a Keras model, or a :class:`kito.runtime.engine.LoadedFile`.
        engine_version: the version of the engine.
        precision: what the engine computes in, where it says so itself; else empty: it computes in
            the types of the file.
    """

    model: Any
    engine_version: str
    precision: str = ""


class Format(Protocol):
    """A format: a module of this package that has these two functions.

    They may raise any exception; :mod:`kito.export` turns it into an error with advice.
    """

    def write(self, model: Any, path: Path, name: str, interface: Interface) -> None:
        """Write ``model`` into the file ``path``.

        Args:
            model: a built model; it is left unchanged.
            path: the file, in a temporary folder: other files there are removed afterwards.
            name: the artifact's name, for names inside the file.
            interface: the inputs and outputs of the original.
        """

    def load(
        self, path: Path, scratch: Path, interface: Interface, custom_objects: Any
    ) -> LoadedArtifact:
        """Load a file into its engine, which gets nothing but the file.

        Args:
            path: the file, which is only read.
            scratch: an empty folder to unpack in.
            interface: the inputs and outputs of the original, which the file must have too.
            custom_objects: what a Keras model needs to be loaded, by name; None for nothing.
        """
