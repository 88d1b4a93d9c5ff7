"""Where the time of a check goes: the phases of a model, and the overhead of the gate.

Overhead is what belongs to no phase: setting up a test item, finding its model, judging figures,
writing reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

IMPORT = "import"
METRIC = "metric"
MODEL_PHASES = ("build", "reduce", "compare", "time", "write", METRIC)
"""The phases of a model. Importing Keras and its backend comes before and belongs to no model."""
PHASES = (IMPORT, *MODEL_PHASES)
"""All phases, in their order."""


class PhaseClock:
    """Seconds by phase. Time in an inner phase does not count for the outer one."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0
        self._announce: Callable[[str], None] | None = None

    @contextmanager
    def announcing(self, announce: Callable[[str], None]) -> Iterator[None]:
        """In the block, call ``announce`` with each phase that begins."""
        self._announce = announce
        try:
            yield
        finally:
            self._announce = None

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count the time of the block for ``phase``, one of :data:`PHASES`."""
        self._switch()
        self._open.append(phase)
        if self._announce is not None:
            self._announce(phase)
        try:
            yield
        finally:
            self._switch()
            self._open.pop()

    def take(self) -> dict[str, float]:
        """The seconds by phase since the last call of this method."""
        self._switch()
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken

    def _switch(self) -> None:
        """Count the time since the last switch for the innermost open phase."""
        now = self._clock()
        if self._open:
            self._seconds[self._open[-1]] += now - self._since
        self._since = now


class Stopwatch:
    """The total seconds of several blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the seconds of the block."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds += perf_counter() - start


def overhead(total: float, phases: Mapping[str, float]) -> float:
    """The seconds of ``total`` that belong to no phase."""
    return max(0.0, total - sum(phases.values()))
