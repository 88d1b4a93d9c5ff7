"""What a long check is at, on the line on which pytest will say how it went.

The text is written behind what pytest has written on that line, and taken away again: pytest's own
output is the same with it and without.
"""

from __future__ import annotations

import os
import sys
from time import monotonic
from types import TracebackType
from typing import Any

import pytest

EVERY_S = 0.5
_SAVE, _RESTORE, _CLEAR = "\0337", "\0338", "\033[K"


class Progress:
    """Shows which model, which phase and how many pairs, where the terminal allows it.

    That is where standard output is a terminal that knows the codes for it, and pytest is not
    quiet; elsewhere nothing is written. It is a context manager, and takes its text away at its
    end.
    """

    def __init__(self, config: pytest.Config, what: str) -> None:
        self._config, self._what = config, what
        self._shown = False
        self._next = 0.0
        self._on = _allows(config)

    def phase(self, name: str) -> None:
        """Say what begins, one of :data:`pytest_kito.checks.phases.PHASES`."""
        self._show(f"{self._what}: {name}")

    def pairs(self, count: int) -> None:
        """Say how many pairs were timed; now and then only, since it takes time."""
        if self._on and monotonic() >= self._next:
            self._show(f"{self._what}: {count} pairs")
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
