"""Runs commands of kito in a warm process, and says whether they answered as they must."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS, BYTES = 20.0, 500_000_000
"""What a command may take to refuse a file, beyond its start: time of the processor, memory.

The largest kito.yaml, 100,000 values, takes 5 s on a slow machine. A bomb takes minutes.
"""
_PATIENCE = 120.0


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    code: int
    out: str
    err: str
    seconds: float
    grown: int

    def faults(self, codes: tuple[int, ...], lines: int = 3) -> list[str]:
        """In what the command did not answer as it must; empty where it did.

        Args:
            codes: the exit codes that are right.
            lines: the most lines on standard error.
        """
        text = self.out + self.err
        odd = sorted({c for c in text if not c.isprintable() and c != "\n"})
        found = {
            f"exit code {self.code}": self.code not in codes,
            "a traceback": "Traceback (most recent" in text,
            "an error that was not foreseen": "kito: unexpected" in text,
            f"raw characters {odd}": bool(odd),
            "a line that is a command to a runner": "\n::" in f"\n{text}",
            f"{len(self.err.splitlines())} lines": len(self.err.splitlines()) > lines,
            f"{self.seconds:.1f} s": self.seconds > SECONDS,
            f"{self.grown / 1e6:.0f} MB": self.grown > BYTES,
        }
        faults = [fault for fault, is_so in found.items() if is_so]
        return [*faults, f"answer:\n{text[:3000]}"] if faults else []


class Commands:
    """A warm process that runs commands; another one where a command ended it, or hung.

    Args:
        warm: commands that a new process runs first: they make room that stays.
        folder: where.
    """

    def __init__(self, warm: Sequence[Sequence[str]], folder: Path) -> None:
        self._warm = [{"argv": list(argv), "folder": str(folder)} for argv in warm]
        self._worker: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def run(self, *argv: str, folder: Path) -> Outcome:
        """Run a command in a folder."""
        worker = self._started()
        answer = self._ask(worker, {"argv": argv, "folder": str(folder)})
        if not answer:
            self.close()
            return Outcome(-2, "", f"the process ended, or took {_PATIENCE} s", 0.0, 0)
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None

    def _started(self) -> subprocess.Popen[str]:
        if self._worker is None:
            command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
            self._answers = queue.Queue()
            environ = {**os.environ, "KITO_DEBUG": "0", "GITHUB_ACTIONS": ""}
            environ.pop("PYTEST_ADDOPTS", None)
            self._worker = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environ,
            )
            threading.Thread(target=_read, args=(self._worker, self._answers), daemon=True).start()
            if self._answer() != "ready\n":
                self.close()
                raise RuntimeError("the process that runs the commands did not start")
            for command in self._warm:
                self._ask(self._worker, command)
        return self._worker

    def _ask(self, worker: subprocess.Popen[str], command: dict[str, Any]) -> str:
        assert worker.stdin is not None
        print(json.dumps(command), file=worker.stdin, flush=True)
        return self._answer()

    def _answer(self) -> str:
        """The next line of the process; empty where it ended, or none came in time."""
        try:
            return self._answers.get(timeout=_PATIENCE)
        except queue.Empty:
            return ""


def _read(worker: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        answers.put(line)
    answers.put("")
