"""Where the time of a check goes: into which phase, and how much is the gate's own.

What is no phase is overhead: setting up an item, looking up its model, judging figures, reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

IMPORT = "import"
MODEL_PHASES = ("build", "reduce", "compare", "time", "write")
"""The phases of a model; importing Keras and its backend is nobody's, and comes before."""
PHASES = (IMPORT, *MODEL_PHASES)


class PhaseClock:
    """Seconds by phase. A phase within a phase counts for itself only."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0
        self._tell: Callable[[str], None] | None = None

    @contextmanager
    def telling(self, tell: Callable[[str], None]) -> Iterator[None]:
        """In the block, ``tell`` is called with each phase that begins."""
        self._tell = tell
        try:
            yield
        finally:
            self._tell = None

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """What is done in the block belongs to ``phase``, one of :data:`PHASES`."""
        self._switch()
        self._open.append(phase)
        if self._tell is not None:
            self._tell(phase)
        try:
            yield
        finally:
            self._switch()
            self._open.pop()

    def take(self) -> dict[str, float]:
        """The seconds since the last time that they were taken, by phase."""
        self._switch()
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken

    def _switch(self) -> None:
        now = self._clock()
        if self._open:
            self._seconds[self._open[-1]] += now - self._since
        self._since = now


class Stopwatch:
    """The seconds of the blocks that it runs for, together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """The seconds of the block are added."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds += perf_counter() - start


def overhead(total: float, phases: Mapping[str, float]) -> float:
    """The seconds of ``total`` that are no phase's."""
    return max(0.0, total - sum(phases.values()))
