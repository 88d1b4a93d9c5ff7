"""What every format does: write a model into a file, and have its engine load such a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kito.errors import KitoError
from kito.export.engines.protocol import Facts
from kito.export.formats.interface import Interface
from kito.runtime.engine import LoadedFile


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
    """A format: a module of this package that has these three functions.

    They may raise any exception; :mod:`kito.export` turns it into an error with advice.
    """

    def write(
        self, model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True
    ) -> None:
        """Write ``model`` into the file ``path``.

        Args:
            model: a built model; it is left unchanged.
            path: the file, in a temporary folder: other files there are removed afterwards.
            name: the artifact's name, for names inside the file.
            interface: the inputs and outputs of the original.
            rewrite: whether the exported graph is rewritten for its engine, where the format has
                such rewrites; False for the graph as Keras exports it.
        """

    def native(self, path: Path, scratch: Path) -> Path:
        """What the engine itself reads: the file, or what is unpacked from it into ``scratch``."""

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


def bound(
    facts: Facts, run: Callable[[Mapping[str, np.ndarray]], Any], name: str, interface: Interface
) -> LoadedArtifact:
    """A file in the hands of its engine, with the inputs and outputs of the original.

    Args:
        facts: of the file.
        run: see :meth:`kito.export.engines.protocol.EngineModel.run`.
        name: of the file, for messages.
        interface: of the original.

    Raises:
        KitoError: the file has other inputs or outputs.
    """
    if facts.returns is None:
        if set(facts.takes) != set(interface.inputs):
            interface.check(name, facts.takes, interface.outputs)
            raise KitoError(f"'{name}' takes {list(facts.takes)} only")
        return LoadedArtifact(LoadedFile(name, run), facts.version, facts.precision)
    wanted = set(interface.outputs)
    places = {x: place for place, names in enumerate(facts.returns) for x in names & wanted}
    others = [min(names) for names in facts.returns if not names & wanted]
    interface.check(name, facts.takes, [*places, *others])

    def packed(batch: Mapping[str, np.ndarray]) -> Any:
        values = run(batch)
        return interface.pack({name: values[place] for name, place in places.items()})

    return LoadedArtifact(LoadedFile(name, packed), facts.version, facts.precision)
