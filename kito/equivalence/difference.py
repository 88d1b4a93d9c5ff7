"""The outputs of two models paired by name, and how they differ, summed up batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import tree

from kito.errors import KitoError, counted
from kito.graph.keras_internals import has_single_output_layer, output_names
from kito.runtime.batch import Inputs, sample_count
from kito.runtime.engine import LoadedFile
from kito.runtime.run import call_model, to_numpy


def output_pairs(
    original: Any, reduced: Any, batch: Inputs, reduced_batch: Inputs
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, original's values, reduced model's values) of each output of one batch.

    Args:
        original: the model that is right by definition.
        reduced: the model to judge.
        batch: samples, by the original's input names.
        reduced_batch: the same samples, by the reduced model's input names.

    Raises:
        KitoError: a model cannot be run, the outputs differ in structure, names or shapes, or the
            first axis of one does not hold the samples.
    """
    first, second = call_model(original, batch), call_model(reduced, reduced_batch)
    paths = [[path for path, _ in tree.flatten_with_path(x)] for x in (first, second)]
    names = output_names(original)
    others = names if isinstance(reduced, LoadedFile) else output_names(reduced)
    cannot = f"'{original.name}' and '{reduced.name}' cannot be compared: their outputs"
    if paths[0] != paths[1]:
        raise KitoError(f"{cannot} are structured as {paths[0]} and {paths[1]}")
    # The names matter only where several outputs would otherwise be identified by order. The keys
    # of a dict identify them, and one layer that makes them all has no names for them.
    named = len(names) > 1 and not has_single_output_layer(original)
    if named and not isinstance(first, dict) and names != others:
        raise KitoError(f"{cannot} are named {names} and {others}; name their layers alike")
    a, b = ([to_numpy(x) for x in tree.flatten(results)] for results in (first, second))
    if any(x.shape != y.shape for x, y in zip(a, b, strict=True)):
        raise KitoError(
            f"{cannot} have the shapes {[x.shape for x in a]} and {[x.shape for x in b]}"
        )
    for name, values in zip(names, a, strict=True):
        _check_samples(name, values, batch)
    return list(zip(names, a, b, strict=True))


def _check_samples(name: str, values: np.ndarray, batch: Inputs) -> None:
    count = sample_count(batch)
    if values.ndim == 0 or len(values) != count:
        raise KitoError(
            f"output '{name}' has the shape {values.shape} for {counted(count, 'sample')}: its "
            "first axis must hold the samples. Leave the output out of the model that is compared"
        )


class Difference:
    """How one output of two models differs, over all batches; it holds no more than two samples.

    Attributes:
        max_abs: largest absolute difference.
        scale: largest absolute value of the original's output.
        worst_sample: the sample, counted from 0, of the largest difference, or of the first value
            that is NaN or infinite.
        integral: whether the output holds integers or booleans.
        faulty: what is wrong with the values, such as NaN; else empty.
    """

    def __init__(self) -> None:
        self.max_abs = self.scale = self._sum = 0.0
        self._count = self._seen = self.worst_sample = 0
        self._low: np.ndarray | None = None
        self._high: np.ndarray | None = None
        self.integral = False
        self.faulty = ""

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Take in one batch: the original's output and the reduced one's, of one shape."""
        self.integral = a.dtype.kind in "biu"
        for values, whose in ((a, "the original"), (b, "the reduced model")):
            wrong = 0 if values.dtype.kind in "biu" else int(np.sum(~np.isfinite(values)))
            if wrong and not self.faulty:
                bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
                self.worst_sample = self._seen + int(bad.argmax())
                of = f"of {counted(values.size, 'value')} of {whose}"
                self.faulty = counted(
                    wrong, f"{of} is NaN or infinite", f"{of} are NaN or infinite"
                )
        if self.integral != (b.dtype.kind in "biu") and not self.faulty:
            self.faulty = f"the original's are {a.dtype}, the reduced model's {b.dtype}"
        if self.faulty:
            return
        wide = a.astype(np.float64)
        difference = np.abs(wide - b)
        largest = float(np.max(difference, initial=0.0))
        if largest > self.max_abs:
            self.max_abs = largest
            self.worst_sample = self._seen + int(difference.argmax()) // (
                difference.size // len(wide)
            )
        self._sum += float(np.sum(difference))
        self._count += difference.size
        self._seen += len(wide)
        self.scale = max(self.scale, float(np.max(np.abs(wide), initial=0.0)))
        low, high = wide.min(axis=0), wide.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    @property
    def mean_abs(self) -> float:
        """Mean of the absolute difference."""
        return self._sum / self._count if self._count else 0.0

    @property
    def spread(self) -> float:
        """Largest range of one element across samples."""
        if self._low is None or self._high is None:
            return 0.0
        return float(np.max(self._high - self._low, initial=0.0))
