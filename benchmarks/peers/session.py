"""A peer at work in its own environment and process, asked by lines of JSON (see ``inside``)."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.peers.environments import Peer, python_of
from kito.errors import KitoError

SCRIPT = Path(__file__).with_name("inside.py")


class PeerSession:
    """A context manager; the process ends with it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._answers: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> PeerSession:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        # Without the variables that would let this environment's packages and backend in.
        hidden = ("PYTHONPATH", "KERAS_BACKEND", "TF_USE_LEGACY_KERAS")
        self._process = subprocess.Popen(
            [str(python_of(self.peer)), str(SCRIPT), self.peer.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={name: value for name, value in os.environ.items() if name not in hidden},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # of a command that it did not read any more
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, do: str, seconds: float, **values: Any) -> dict[str, Any]:
        """The answer to a command.

        Args:
            do: name of the command, see ``inside``.
            seconds: how long to wait for the answer.
            values: the command's arguments.

        Raises:
            TimeoutError: no answer in that time.
            KitoError: the process died.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: the answer says so
            self._process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            raise TimeoutError(f"no answer to '{do}' in {seconds:.0f} s") from None
        if not line:
            raise KitoError(
                f"{self.peer.title} died at '{do}' (exit code {self._process.wait()}): "
                f"{self._last_words()}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")  # the end

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else "no message"
