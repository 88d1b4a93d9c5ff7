"""The other end of :class:`kito.export.engines.process.EngineProcess`: runs files for it.

It reads requests from standard input and writes a reply to each, both pickled. What an engine
prints goes to standard error.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

from kito.errors import describe
from kito.export.engines.protocol import (
    Batch,
    EngineModel,
    Facts,
    NoEngineDeviceError,
    Settings,
    engine,
)


class Worker:
    """The files that are loaded; each method answers a request of its name."""

    def __init__(self) -> None:
        self._models: dict[str, EngineModel] = {}
        self._calls: dict[str, Callable[[], None]] = {}

    def gpu(self, name: str) -> str:
        """The name of the GPU that an engine can use."""
        return engine(name).gpu()

    def load(self, key: str, name: str, path: str, settings: Settings) -> Facts:
        """Have the engine ``name`` load a file, which is called ``key`` from then on."""
        self._models[key] = engine(name).load(Path(path), settings)
        return self._models[key].facts

    def run(self, key: str, batch: Batch) -> Any:
        """The outputs of one call."""
        return self._models[key].run(batch)

    def prepare(self, key: str, batch: Batch) -> None:
        """Hold a batch for the timed calls."""
        self._calls[key] = self._models[key].prepared(batch)
        # A collection would be counted as the time of the call that triggers it.
        gc.disable()

    def call(self, key: str) -> float:
        """The seconds of one call on the batch that is held."""
        call = self._calls[key]
        start = perf_counter()
        call()
        return perf_counter() - start


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more: ``("ok", value)`` or ``(kind of error, text)``."""
    worker = Worker()
    while True:
        try:
            request, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            reply = ("ok", getattr(worker, request)(*arguments))
        except NoEngineDeviceError as error:
            reply = ("device", str(error))
        except Exception as error:  # an engine may raise anything
            reply = ("error", describe(error))
        pickle.dump(reply, replies)
        replies.flush()


def main() -> None:
    """Serve on standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as replies:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        serve(requests, replies)
