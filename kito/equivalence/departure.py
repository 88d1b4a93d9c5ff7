"""The first layer, in topological order, at which a reduced model departs from its original.

What the output of a layer is compared with is in :mod:`kito.equivalence.matching`. Where an affine moved
further, layers between differ and what follows agrees again, so a layer departs only if nothing
behind it agrees. (What agrees because it is constant, or holds integers, says nothing of the layers
before it. Where a shift went from one layer into or past the wrong one, the former is named.)

So no search by halves is possible: on two branches, neither tells of the other. But one
look at each layer is enough, since what has to be kept of it is a bit.

Both models are run on one sample, call by call and in step (:mod:`kito.graph.interpret`): the original
until it has what the reduced model's layer is compared with. Alive are the tensors that calls to
come need, as in any run, and those of the original that wait for their layer of the reduced model,
of which at most 256 MB, or the outputs of one layer, are held. What there is no room for is left to
another run of both models: one run where the orders of their calls are alike, and never more than
there are layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kito.equivalence.matching import Calls, match_layers, read_calls
from kito.graph.interpret import Interpreter, Result, calls, is_entered
from kito.graph.ir import Graph
from kito.graph.keras_internals import input_names
from kito.runtime.batch import Inputs, batch_limit
from kito.runtime.engine import LoadedFile
from kito.runtime.pair import renamed_inputs
from kito.runtime.run import to_numpy

_HELD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Departure:
    """The first layer whose output is not what the original has there.

    Attributes:
        layer: its name in the reduced model, after those of the nested models that it is in:
            ``encoder/conv``.
        max_abs: largest absolute difference; NaN where a value is NaN or infinite in one model
            only, infinity where the shapes differ.
        scale: largest absolute value that the original has there.
        sample: the sample, counted from 0, that was looked into: the one in which the models'
            outputs differ most.
    """

    layer: str
    max_abs: float
    scale: float
    sample: int

    def message(self) -> str:
        """What was found, a line for each fact."""
        if np.isnan(self.max_abs):
            how = "is NaN or infinite where the original is not, or the other way round"
        elif np.isinf(self.max_abs):
            how = "has another shape than in the original"
        else:
            how = f"differs by {self.max_abs:.3g} at a scale of {self.scale:.3g}"
        return (
            f"the first layer whose output departs is '{self.layer}'\n"
            f"there, in sample {self.sample}, it {how}"
        )


def find_departure(
    original: Any, reduced: Any, inputs: Inputs, sample: int, rtol: float
) -> Departure | None:
    """The first layer of ``reduced`` that departs.

    Args:
        original: the model that is right.
        reduced: the model that differs.
        inputs: samples, by the original's input names.
        sample: the one to look into; a model of a fixed batch size gets the batch that it is in.
        rtol: difference to disregard, relative to each tensor's largest absolute value.

    Returns:
        None where every layer agrees, or a model cannot be looked into.
    """
    if isinstance(reduced, LoadedFile):
        return None
    size = batch_limit(original, 1)
    first = sample - sample % size
    batch = {name: values[first : first + size] for name, values in inputs.items()}
    try:
        twin = renamed_inputs(batch, original, reduced)
        sides = (
            (read_calls(original), [batch.get(name) for name in input_names(original)]),
            (read_calls(reduced), [twin.get(name) for name in input_names(reduced)]),
        )
        seen = _Comparison(*sides, rtol).run()
    except Exception:  # of layers or the backend; without this answer the comparison still stands
        return None
    found = _first(seen)
    return None if found is None else Departure(found.layer, found.max_abs, found.scale, sample)


@dataclass
class _Seen:
    """What is known of one tensor of the reduced model, after it was let go of."""

    layer: str
    parents: tuple[int, ...]
    compared: bool = False
    agrees: bool = False
    vouches: bool = False
    max_abs: float = float("inf")
    scale: float = 0.0


def _first(seen: list[_Seen]) -> _Seen | None:
    fine = [x.vouches for x in seen]
    for number in reversed(range(len(seen))):
        if fine[number]:
            for parent in seen[number].parents:
                fine[parent] = True
    departed = (x for x, y in zip(seen, fine, strict=True) if x.compared and not (x.agrees or y))
    return next(departed, None)


class _Comparison:
    """Two models, each with its inputs, run in step as often as the room to hold tensors asks."""

    def __init__(
        self,
        original: tuple[Calls, list[Any]],
        reduced: tuple[Calls, list[Any]],
        rtol: float,
    ) -> None:
        self.original, self.reduced, self.rtol = original, reduced, rtol
        self.stands_for = match_layers(original[0], reduced[0])
        self.made = _tensors(original[0].graph)
        self.asked: Counter[str] = Counter()
        for path, times in _tensors(reduced[0].graph).items():
            for name in self.stands_for.get(path, ()):
                self.asked[name] += times
        self.seen: list[_Seen] = []

    def run(self) -> list[_Seen]:
        """By number, what is known of each tensor of the reduced model."""
        wanted = {name for name in self.asked if self.made[name]}
        wanted = self._pass(wanted)
        while wanted:
            wanted = self._pass(wanted)
        return self.seen

    def _pass(self, wanted: set[str]) -> set[str]:
        """Compare what stands for the layers ``wanted``; returns those that there was no room for.

        At least one of them is done, since the first that is held is never dropped.
        """
        waiting = _Waiting(
            Interpreter(self.original[0].graph).walk(self.original[1]), wanted, self.asked
        )
        for made in Interpreter(self.reduced[0].graph).walk(self.reduced[1]):
            if made.number == len(self.seen):
                self.seen.append(_Seen(made.layer, made.parents))
            seen = self.seen[made.number]
            names = self.stands_for.get(made.layer, set()) & waiting.wanted
            if not names:
                continue
            if not seen.agrees:  # as an earlier run may have seen
                self._ask(seen, to_numpy(made.value), names, waiting)
            waiting.answered(names)
        return wanted - waiting.wanted

    def _ask(self, seen: _Seen, values: np.ndarray, names: set[str], waiting: _Waiting) -> None:
        missing = sum(self.made[name] for name in names)
        for other in waiting.of(names):
            missing -= 1
            self._compare(seen, values, other)
            if seen.agrees or not missing:
                return

    def _compare(self, seen: _Seen, values: np.ndarray, expected: np.ndarray) -> None:
        max_abs, scale = _difference(values, expected)
        if not seen.compared or np.isnan(seen.max_abs) or max_abs < seen.max_abs:
            seen.max_abs, seen.scale = max_abs, scale
        seen.compared = True
        if max_abs <= self.rtol * scale:
            seen.agrees = True
            seen.vouches = seen.vouches or _tells(expected)


class _Waiting:
    """What the original has made and the reduced model not yet."""

    def __init__(self, source: Iterator[Result], wanted: set[str], asked: Counter[str]) -> None:
        self.source, self.wanted, self.left = source, set(wanted), Counter(asked)
        self.held: dict[str, list[np.ndarray]] = {}
        self.bytes = 0

    def of(self, names: set[str]) -> Iterator[np.ndarray]:
        """What layers of these names made, and will make, for which the original is run on."""
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

    def answered(self, names: set[str]) -> None:
        """One tensor of the reduced model was compared with what these layers made."""
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
    found: Counter[str] = Counter()
    for path, node in calls(graph):
        if not is_entered(node):
            found[path] += len(node.outputs)
    return found


def _difference(values: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """(largest absolute difference, largest finite absolute value of ``expected``).

    NaN and infinity are no difference where both have the same.
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


def _tells(values: np.ndarray) -> bool:
    """Whether that two models agree in these values says something of what they were made from."""
    if values.dtype.kind != "f" or not np.any(values):
        return False
    return values.size == 1 or bool(np.min(values) < np.max(values))
