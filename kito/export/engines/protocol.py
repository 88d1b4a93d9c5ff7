"""What every engine does, and what it tells of itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np

from kito.errors import KitoError

Batch = Mapping[str, np.ndarray]
"""Arrays of shape (samples, ...) by the name of the input."""


class NoEngineDeviceError(KitoError):
    """The engine cannot use the requested device here."""


@dataclass(frozen=True)
class Settings:
    """How a file is run.

    Attributes:
        kind: the kind of device. An engine that cannot use it raises; it never takes another one.
        threads: how many threads one call may use; None for the engine's own choice.
    """

    kind: Literal["cpu", "gpu"] = "cpu"
    threads: int | None = None


@dataclass(frozen=True)
class Facts:
    """What a loaded file takes and returns, and what runs it. Plain data.

    Attributes:
        takes: the names of its inputs.
        returns: for each output, in the order of what :meth:`EngineModel.run` returns, its names;
            None where it returns the structure that the model returned before it was exported.
        version: the engine's version.
        provider: what the engine runs it on, in the engine's own words.
        precision: what the engine computes in, where it says so; else empty: the types of the file.
        threads: how many threads one call may use; None where the engine does not say.
    """

    takes: tuple[str, ...]
    returns: tuple[frozenset[str], ...] | None
    version: str
    provider: str
    precision: str = ""
    threads: int | None = None


class EngineModel(Protocol):
    """A file that an engine has loaded."""

    @property
    def facts(self) -> Facts:
        """What it takes and returns, and what runs it."""

    def run(self, batch: Batch) -> Any:
        """The outputs as arrays: a list in the order of ``facts.returns``, or the structure."""

    def prepared(self, batch: Batch) -> Callable[[], None]:
        """One call on a batch that is already on the device. It returns when its work is done."""


class Engine(Protocol):
    """An engine: a module of this package that has these two functions.

    They may raise any exception; NoEngineDeviceError where the requested device is not there.
    """

    def load(self, path: Path, settings: Settings) -> EngineModel:
        """Load the file, or the folder, that the engine reads; it is not needed afterwards."""

    def gpu(self) -> str:
        """The name of the GPU that the engine can use; empty where it has one without a name."""


def engine(name: str) -> Engine:
    """The engine of a format; this imports the engine's packages."""
    return cast(Engine, importlib.import_module(f"kito.export.engines.{name}"))
