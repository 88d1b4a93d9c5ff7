"""Signals that ask a process to end while it changes a folder: it ends before or after, not within.

Only in the main thread: Python lets no other one handle signals. What cannot be handled, such as
``SIGKILL`` or a loss of power, can still end a process in between.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end, at a time when that is possible."""


class OrderlyEnd:
    """A context in which a signal that ends the process lets it tidy up first.

    Until :meth:`hold` is called, a signal is an :class:`Interrupted` error: what is temporary is
    removed by those who made it. From then on it waits. At the end of the context it gets the
    effect that it has outside of it.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._noted: list[int] = []
        self._held = False

    def hold(self) -> None:
        """From now to the end of the context, let signals wait."""
        self._held = True

    def __enter__(self) -> OrderlyEnd:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                # None: the handler is none of Python's, so it could not be restored.
                if number is not None and signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._previous[number] = signal.getsignal(number)
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        handlers: dict[int, Callable[[int, FrameType | None], Any] | int] = self._previous
        self._held = True  # a signal that comes now must not keep the others from being restored
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(self._noted):
            signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted.append(number)
        if not self._held:
            self._held = True  # a second one must not disturb the tidying up
            raise Interrupted
