"""Two models run on one sample in step, and each layer's output compared with the original's.

Both models are run call by call (:mod:`kito.graph.interpret`): the original runs until it has made
the output that the reduced model's layer is compared with. Held in memory are the tensors that
later calls need, as in any run, and outputs of the original that wait for their layer of the
reduced model: at most 256 MB of them, or the outputs of one layer. Layers for which there is no
room are compared in another run of both models. One run is enough where both models make their
calls in a similar order; there are never more runs than layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kito.equivalence.matching import Calls, match_layers
from kito.graph.interpret import Result, calls, is_entered
from kito.graph.ir import Graph
from kito.runtime.run import to_numpy

_HELD_BYTES = 256 * 2**20


@dataclass
class Seen:
    """What is remembered of one tensor of the reduced model once its values are released.

    Attributes:
        layer: the layer that made it.
        parents: the numbers of the tensors that it was made from.
        compared: whether the original has an output to compare it with.
        agrees: whether it agrees with one of those outputs.
        vouches: whether it agrees, and that shows that the layers before it are right too.
        max_abs: the smallest difference from one of those outputs.
        scale: the largest absolute value of that output.
    """

    layer: str
    parents: tuple[int, ...]
    compared: bool = False
    agrees: bool = False
    vouches: bool = False
    max_abs: float = float("inf")
    scale: float = 0.0


class StepwiseRun:
    """Two models, each with its inputs, run in step, as often as the memory limit requires."""

    def __init__(
        self,
        original: tuple[Calls, list[Any]],
        reduced: tuple[Calls, list[Any]],
        rtol: float,
    ) -> None:
        self.original, self.reduced, self.rtol = original, reduced, rtol
        self.matches = match_layers(original[0], reduced[0])
        self.made = _tensors(original[0].graph)
        self.uses: Counter[str] = Counter()
        for path, times in _tensors(reduced[0].graph).items():
            for name in self.matches.get(path, ()):
                self.uses[name] += times
        self.seen: list[Seen] = []

    def run(self) -> list[Seen]:
        """What is remembered of each tensor of the reduced model, by its number."""
        wanted = {name for name in self.uses if self.made[name]}
        wanted = self._pass(wanted)
        while wanted:
            wanted = self._pass(wanted)
        return self.seen

    def _pass(self, wanted: set[str]) -> set[str]:
        """Compare with the original's layers ``wanted``; returns those that there was no room for.

        At least one of them is done, since the first that is held is never dropped.
        """
        waiting = _Waiting(self.original[0].walk(self.original[1]), wanted, self.uses)
        for made in self.reduced[0].walk(self.reduced[1]):
            if made.number == len(self.seen):
                self.seen.append(Seen(made.layer, made.parents))
            seen = self.seen[made.number]
            names = self.matches.get(made.layer, set()) & waiting.wanted
            if not names:
                continue
            if not seen.agrees:  # an earlier run may have shown that it does
                self._compare_all(seen, to_numpy(made.value), names, waiting)
            waiting.used(names)
        return wanted - waiting.wanted

    def _compare_all(
        self, seen: Seen, values: np.ndarray, names: set[str], waiting: _Waiting
    ) -> None:
        missing = sum(self.made[name] for name in names)
        for other in waiting.of(names):
            missing -= 1
            self._compare(seen, values, other)
            if seen.agrees or not missing:
                return

    def _compare(self, seen: Seen, values: np.ndarray, expected: np.ndarray) -> None:
        max_abs, scale = _difference(values, expected)
        if not seen.compared or np.isnan(seen.max_abs) or max_abs < seen.max_abs:
            seen.max_abs, seen.scale = max_abs, scale
        seen.compared = True
        if max_abs <= self.rtol * scale:
            seen.agrees = True
            seen.vouches = seen.vouches or _is_evidence(expected)


class _Waiting:
    """Outputs of the original that wait for their layer of the reduced model."""

    def __init__(self, source: Iterator[Result], wanted: set[str], uses: Counter[str]) -> None:
        self.source, self.wanted, self.left = source, set(wanted), Counter(uses)
        self.held: dict[str, list[np.ndarray]] = {}
        self.bytes = 0

    def of(self, names: set[str]) -> Iterator[np.ndarray]:
        """The outputs of these layers; runs the original on until it has made them all."""
        for name in names:
            yield from self.held.get(name, [])
        while names & self.wanted:
            made = next(self.source, None)
            if made is None:
                return
            if made.layer in self.wanted and self.left[made.layer]:
                values = to_numpy(made.value)
                self.held.setdefault(made.layer, []).append(values)
                self.bytes += values.nbytes
                if made.layer in names:
                    yield values
                self._make_room()

    def used(self, names: set[str]) -> None:
        """Note that one tensor of the reduced model was compared with these layers' outputs."""
        for name in names:
            self.left[name] -= 1
            if not self.left[name]:
                self._drop(name)

    def _make_room(self) -> None:
        while self.bytes > _HELD_BYTES and len(self.held) > 1:
            name = next(reversed(self.held))
            self._drop(name)
            self.wanted.discard(name)

    def _drop(self, name: str) -> None:
        self.bytes -= sum(x.nbytes for x in self.held.pop(name, []))


def _tensors(graph: Graph) -> Counter[str]:
    """How many tensors each layer makes, in all its calls."""
    count: Counter[str] = Counter()
    for path, node in calls(graph):
        if not is_entered(node):
            count[path] += len(node.outputs)
    return count


def _difference(values: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """(largest absolute difference, largest finite absolute value of ``expected``).

    NaN and infinity do not count as a difference where both have the same.
    """
    if values.shape != expected.shape:
        return float("inf"), 0.0
    a, b = values.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    scale = float(np.max(np.abs(b), where=finite, initial=0.0))
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(a[finite]).all()
    ):
        return float("nan"), scale
    return float(np.max(np.abs(a[finite] - b[finite]), initial=0.0)), scale


def _is_evidence(values: np.ndarray) -> bool:
    """Whether agreement in these values shows that they were computed from the same tensors."""
    if values.dtype.kind != "f" or not np.any(values):
        return False
    return values.size == 1 or bool(np.min(values) < np.max(values))
