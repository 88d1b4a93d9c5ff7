"""Engines in a process of their own: one that crashes or hangs ends that process, not this one.

Engines are native code. A wrong file, a fault of theirs or a lack of memory can end a process
without an exception, or keep it in a call forever.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from kito.errors import KitoError
from kito.export.engines.protocol import Batch, Facts, NoEngineDeviceError, Settings

PROGRAM = "from kito.export.engines.worker import main; main()"
"""What the process runs, once it can import what this process can."""
_PATH = "import sys; sys.path[:] = {path!r}; "
_LONGEST = 200


class EngineFailedError(KitoError):
    """An engine raised an error, crashed, or did not answer in time.

    Attributes:
        key: the file that it was working on; empty where it was none.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Limits:
    """Seconds after which an engine counts as hanging, and its process is ended.

    Attributes:
        load: to start, to load a file, or to run one that is compared.
        call: for one timed call.
    """

    load: float = 300.0
    call: float = 60.0


class EngineProcess:
    """A context manager: a process that runs one engine, and is ended with the block.

    Args:
        engine: name of a module of :mod:`kito.export.engines`.
        title: the engine's name in messages.
        settings: how it runs every file.
        limits: how long it may take.
    """

    def __init__(
        self, engine: str, title: str, settings: Settings, limits: Limits | None = None
    ) -> None:
        self._engine, self._title, self._settings = engine, title, settings
        self._limits = Limits() if limits is None else limits
        self._names: dict[str, str] = {}
        self._deadline, self._late = math.inf, False
        self._ended = threading.Event()

    def __enter__(self) -> EngineProcess:
        hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if self._settings.kind == "cpu" else {}
        self._log = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PATH.format(path=sys.path) + PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **hidden},
            )
        except OSError as error:
            self._log.close()
            raise EngineFailedError(
                f"no process for {self._title} can be started: {error.strerror}"
            ) from error
        self._watch = threading.Thread(target=self._end_late_process, daemon=True)
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # what could not be sent to a process that died
                pass
        self._watch.join()
        self._log.close()

    def gpu(self) -> str:
        """The name of the GPU that the engine can use; empty where that is unknown.

        Raises:
            NoEngineDeviceError: it can use none here.
        """
        return str(self._ask("looked for a GPU", "", "gpu", self._engine))

    def load(self, key: str, path: Path, name: str) -> Facts:
        """Load a file, which is ``key`` from then on, and ``name`` in messages.

        Raises:
            NoEngineDeviceError: the engine cannot use the device of the settings.
            EngineFailedError: it cannot load the file.
        """
        self._names[key] = name
        arguments = key, self._engine, str(path), self._settings
        facts: Facts = self._ask(f"loaded {name}", key, "load", *arguments)
        return facts

    def run(self, key: str, batch: Batch) -> Any:
        """The outputs of one call; see :meth:`kito.export.engines.protocol.EngineModel.run`."""
        return self._ask(f"ran {self._names[key]}", key, "run", key, dict(batch))

    def prepare(self, key: str, batch: Batch) -> None:
        """Bring a batch to the device, for :meth:`call`."""
        self._ask(f"prepared {self._names[key]}", key, "prepare", key, dict(batch))

    def call(self, key: str) -> float:
        """The seconds of one call on the batch that was prepared, measured in the process."""
        return float(self._ask(f"ran {self._names[key]}", key, "call", key))

    def _ask(self, doing: str, key: str, request: str, *arguments: Any) -> Any:
        limit = self._limits.call if request == "call" else self._limits.load
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._deadline = monotonic() + limit
        try:
            pickle.dump((request, arguments), self._process.stdin)
            self._process.stdin.flush()
            kind, value = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise EngineFailedError(self._death(doing, limit), key) from error
        finally:
            self._deadline = math.inf
        if kind == "device":
            raise NoEngineDeviceError(value)
        if kind == "error":
            raise EngineFailedError(f"{self._title} failed while it {doing}: {value}", key)
        return value

    def _death(self, doing: str, limit: float) -> str:
        code = self._process.wait()
        if self._late:
            return f"{self._title} gave no answer within {limit:g} s while it {doing}"
        how = f"exit code {code}"
        if code < 0:
            how = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        last = self._last_line()
        return f"{self._title} crashed ({how}) while it {doing}{': ' if last else ''}{last}"

    def _last_line(self) -> str:
        """The last line that it wrote on standard error, as short, plain text."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        line = next((" ".join(x.split()) for x in reversed(lines) if x.strip()), "")
        return "".join(x if x.isprintable() else "?" for x in line[:_LONGEST])

    def _end_late_process(self) -> None:
        while not self._ended.wait(0.2):
            if monotonic() > self._deadline:
                self._late = True
                self._process.kill()
                return
