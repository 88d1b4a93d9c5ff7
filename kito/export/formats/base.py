"""What every format can do: write a model into a file, and have its engine open such a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kito.export.formats.interface import Interface


@dataclass(frozen=True)
class Opened:
    """A file that its engine has opened.

    Attributes:
        model: a Keras model, or a :class:`kito.runtime.engine.LoadedFile`.
        version: the engine's.
        precision: what the engine computes in, where it says so itself; else empty: it computes in
            the types of the file.
    """

    model: Any
    version: str
    precision: str = ""


class Format(Protocol):
    """One module of this package a format. Whatever goes wrong is raised as it comes."""

    def write(self, model: Any, path: Path, name: str, interface: Interface) -> None:
        """Write ``model`` into the file ``path``.

        Args:
            model: a built model; it is left as it was.
            path: in a folder in which anything may be left behind.
            name: of the artifact, for what is inside of it.
            interface: that of the original.
        """

    def read(self, path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> Opened:
        """Open a file by its engine, which is given nothing but the file.

        Args:
            path: the file, which is only read.
            scratch: an empty folder to unpack in.
            interface: that of the original, which the file is held against.
            custom_objects: what a Keras model needs to be loaded, by name; None for nothing.
        """
