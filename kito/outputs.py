"""What models return, and the running figures of how two of them differ, batch by batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from kito.inputs import Inputs, call_arguments


def run(model: Any, batch: Inputs) -> list[np.ndarray]:
    """The flat outputs of one call in inference."""
    results = model(call_arguments(model, batch), training=False)
    return [to_numpy(x) for x in tree.flatten(results)]


def to_numpy(tensor: Any) -> np.ndarray:
    """A tensor of the backend as an array; bfloat16, which NumPy has not, as float32."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = keras.ops.cast(tensor, "float32")
    if keras.backend.backend() == "torch":
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    return np.asarray(tensor)


class Difference:
    """How one output of two models differs, over all batches; the memory of one sample is enough.

    Attributes:
        max_abs, mean_abs: of the difference.
        scale: largest absolute value of the first model's.
        integral: the output holds integers or booleans.
        faulty: what is wrong with the values, such as NaN; else empty.
    """

    def __init__(self) -> None:
        self.max_abs = self.scale = self._sum = 0.0
        self._count = 0
        self._low: np.ndarray | None = None
        self._high: np.ndarray | None = None
        self.integral = False
        self.faulty = ""

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Take in one batch: the original's output and the reduced one's, of one shape."""
        self.integral = a.dtype.kind in "biu"
        for values, whose in ((a, "the original"), (b, "the reduced model")):
            wrong = 0 if self.integral else int(np.sum(~np.isfinite(values)))
            if wrong and not self.faulty:
                self.faulty = f"{wrong} of {values.size} values of {whose} are NaN or infinite"
        if self.faulty:
            return
        wide = a.astype(np.float64)
        difference = np.abs(wide - b)
        self.max_abs = max(self.max_abs, float(np.max(difference, initial=0.0)))
        self._sum += float(np.sum(difference))
        self._count += difference.size
        self.scale = max(self.scale, float(np.max(np.abs(wide), initial=0.0)))
        if len(wide):
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


class Squares:
    """The RMS of an error relative to the RMS of the truth, over batches and outputs."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._truth: list[float] = []

    def add(self, truth: np.ndarray, values: np.ndarray) -> None:
        """Take in one output of one batch."""
        exact = truth.astype(np.float64)
        self._errors.append(float(np.sum((exact - values) ** 2)))
        self._truth.append(float(np.sum(exact**2)))

    def relative(self) -> float:
        """sqrt(sum of squared errors / sum of squares)."""
        total = sum(self._truth)
        return float(np.sqrt(sum(self._errors) / total)) if total else float("inf")
