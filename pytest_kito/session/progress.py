"""Shows the progress of a long check on the line where pytest will print its outcome.

The text follows what pytest has written on that line, and is erased at the end, so that pytest's
own output does not change.
"""

from __future__ import annotations

import os
import sys
from time import monotonic
from types import TracebackType
from typing import Any

import pytest

from kito.errors import counted
from pytest_kito.checks.time_limit import duration

EVERY_S = 0.5
_SAVE, _RESTORE, _CLEAR = "\0337", "\0338", "\033[K"


class Progress:
    """A context manager that shows the model, the phase, and the number and limit of timed pairs.

    It writes only if standard output is a terminal that supports the control codes, and pytest is
    not quiet. It erases its text at its end.
    """

    def __init__(self, config: pytest.Config, what: str) -> None:
        self._config, self._what = config, what
        self.limit_s: float | None = None
        self._shown = False
        self._next = 0.0
        self._on = _allows(config)

    def phase(self, name: str) -> None:
        """Show the phase that begins, one of :data:`pytest_kito.checks.phases.PHASES`."""
        self._show(f"{self._what}: {name}")

    def pairs(self, count: int) -> None:
        """Show how many pairs were timed; at most every :data:`EVERY_S` seconds."""
        if self._on and monotonic() >= self._next:
            limit = "" if self.limit_s is None else f", at most {duration(self.limit_s)}"
            self._show(f"{self._what}: {counted(count, 'pair')}{limit}")
            self._next = monotonic() + EVERY_S

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._write("")

    def _show(self, text: str) -> None:
        if self._on:
            self._write(text)

    def _write(self, text: str) -> None:
        terminal = self._config.get_terminal_writer()
        room = terminal.fullwidth - terminal.width_of_current_line - 2
        if room <= 0:
            return
        self._shown = bool(text)
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            # Captured output would never reach the terminal; the writer would count the codes.
            sys.stdout.write(f"{_SAVE} {text[:room]}{_CLEAR}{_RESTORE}")
            sys.stdout.flush()


def _allows(config: pytest.Config) -> bool:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if reporter is None or capture is None or config.option.verbose < 0:
        return False
    return bool(reporter.isatty()) and os.environ.get("TERM", "dumb") != "dumb"
