"""Says on a terminal what a command is doing, while it takes long; nothing when piped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from kito.errors import counted, printable
from pytest_kito.cli.tree import on_terminal

if TYPE_CHECKING:
    from rich.console import Console

AFTER_S, EVERY_S = 1.0, 0.5
"""What is shorter shows nothing; pairs are counted that often."""
_ERASE = "\r\033[K"


class Working:
    """What is shown at the moment; this one shows nothing."""

    def on(self, what: str) -> None:
        """Say what is being done now."""

    def measuring(self) -> None:
        """Say that calls are timed from now on: nothing may move beside them."""

    def pairs(self, count: int) -> None:
        """Say how many pairs were timed; to be called between rounds, outside of the timing."""


class Shown(Working):
    """A spinner on ``stream``; a line that stands still while calls are timed.

    The thread that turns a spinner would take time from what is timed on a CPU.

    Attributes:
        timer: starts the spinner.
    """

    def __init__(self, stream: TextIO, console: Console) -> None:
        self._stream = stream
        self._still = False
        self._next = 0.0
        from rich.live import Live
        from rich.spinner import Spinner

        self._spinner = Spinner("dots")
        # It must not replace the standard streams: a source's output is redirected meanwhile.
        self._live = Live(
            self._spinner,
            console=console,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.timer = Timer(AFTER_S, self._live.start)
        self.timer.daemon = True
        self.timer.start()

    def on(self, what: str) -> None:
        from rich.text import Text

        self._spinner.update(text=Text(f"{printable(what)} ..."))

    def measuring(self) -> None:
        self.stop()
        self._still = True

    def pairs(self, count: int) -> None:
        if self._still and monotonic() >= self._next:
            self._stream.write(f"{_ERASE}measuring: {counted(count, 'pair')} ...")
            self._stream.flush()
            self._next = monotonic() + EVERY_S

    def stop(self) -> None:
        """Erase what is shown."""
        self.timer.cancel()
        self.timer.join()  # it may be starting the spinner at this moment
        self._live.stop()
        if self._still:
            self._stream.write(_ERASE)
            self._stream.flush()


@contextmanager
def working() -> Iterator[Working]:
    """In the block, a terminal shows a spinner and what is being done; at the end it is erased.

    It is drawn on a copy of standard error: while Keras is imported, the lines on standard error
    itself are held back.
    """
    if not on_terminal(error=True):
        yield Working()
        return
    from rich.console import Console

    with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding) as stream:
        shown = Shown(stream, Console(file=stream, highlight=False))
        try:
            yield shown
        finally:
            shown.stop()
