"""Rounding or wrongness: two models held against the original in float64.

Deep networks amplify the rounding of float32, so a right fold can exceed a tolerance. Its error
against the truth is then like the original's own, while that of a wrong fold is orders of magnitude
larger. This is judged for each output by itself: one of large values would hide another.

The truth is a copy of the original whose every float is float64, made once for a comparison and
thrown away after it. It runs in batches of half the size, on a GPU where that has float64, else, or
where the GPU fails at it, on the CPU; of each batch only sums are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kito.errors import KitoError
from kito.graph.build import build_model
from kito.graph.keras_internals import (
    output_names,
)
from kito.rewrite.inline.sweep import read_inlined
from kito.runtime import backends
from kito.runtime.batch import Inputs, batch_limit, batches
from kito.runtime.pair import renamed_inputs
from kito.runtime.run import run


def copy_model(model: Any, dtype: str | None = None) -> Any:
    """A copy of ``model`` that shares no layer with it; ``dtype="float64"`` computes in float64.

    Raises:
        UnsupportedModelError: the model cannot be read, or a layer cannot be copied.
    """
    return build_model(read_inlined(model).graph, dtype)


RMS_RATIO = 1.5
"""How many times the original's own RMS error the reduced model's may be, against float64."""
_PEAK_RATIO = 10.0
"""The same of the largest errors, which differ more: an error in few places hardly shows in RMS."""
_UNQUESTIONED = {"float32": 1e-6, "mixed": 1e-4}
"""Below it, relative to the truth, the ratio of two errors is that of two random numbers."""
_NO_TRUTH = {"float32": 1e-2, "mixed": 0.3}
"""Above it, the float64 run is no truth about the original."""


@dataclass(frozen=True)
class Errors:
    """The errors of one output against the original in float64.

    Attributes:
        rms: RMS errors relative to the RMS of the truth, (original, reduced).
        peak: largest errors relative to the largest value of the truth, (original, reduced).
        mixed: whether the original computes in float16 or bfloat16.
        device: the kind of device that the float64 copy ran on, ``cpu`` or ``gpu``.
    """

    rms: tuple[float, float]
    peak: tuple[float, float]
    mixed: bool
    device: str = "cpu"

    @property
    def problem(self) -> str:
        """Why the reduced model's errors are more than rounding; empty if they are not."""
        kind = "mixed" if self.mixed else "float32"
        if not self.rms[0] <= _NO_TRUTH[kind]:
            return (
                f"the original in float64 is {self.rms[0]:.3g} away from itself, which rounding "
                "does not explain: it cannot serve as a reference"
            )
        for (own, other), ratio, what in (
            (self.rms, RMS_RATIO, "relative RMS"),
            (self.peak, _PEAK_RATIO, "largest relative"),
        ):
            if not other <= max(ratio * own, _UNQUESTIONED[kind]):
                return (
                    f"against the original in float64 on the {self.device}, the reduced model's "
                    f"{what} error is {other:.3g}, the original's own {own:.3g}; at most "
                    f"{ratio:g} times that is rounding"
                )
        return ""


def errors_vs_float64(
    original: Any, reduced: Any, inputs: Inputs, batch_size: int, mixed: bool
) -> list[Errors]:
    """The errors of each output, in the model's order, over all samples.

    Args:
        original: the model that is right by definition.
        reduced: the model to judge.
        inputs: samples, by the original's input names.
        batch_size: samples per call.
        mixed: whether the original computes in float16 or bfloat16.

    Raises:
        KitoError: the original cannot be copied to float64, or not run in it, or the backend
            computed in less.
    """
    kind: str = backends.current().float64_kind()
    try:
        return _errors(original, reduced, inputs, batch_size, mixed, kind)
    except KitoError:
        if kind == "cpu":
            raise
    # A GPU may have too little memory for it, or no kernel of a layer.
    return _errors(original, reduced, inputs, batch_size, mixed, "cpu")


def _errors(
    original: Any, reduced: Any, inputs: Inputs, batch_size: int, mixed: bool, kind: str
) -> list[Errors]:
    backend = backends.current()
    with backend.float64(kind):
        truth = copy_model(original, dtype="float64")
    size = batch_limit(original, max(batch_size // 2, 1))  # its tensors are twice as large
    renamed = renamed_inputs(inputs, original, reduced)
    names = output_names(original)
    own, other = ([_Sum() for _ in names] for _ in range(2))
    for batch, twin in zip(batches(inputs, size), batches(renamed, size), strict=True):
        with backend.float64(kind):
            exact = run(truth, batch)
        for name, values in zip(names, exact, strict=True):
            _check_float64(name, values)
        for model, fed, sums in ((original, batch, own), (reduced, twin, other)):
            for total, t, values in zip(sums, exact, run(model, fed), strict=True):
                if t.shape != values.shape:
                    raise KitoError("its outputs have other shapes in float64")
                total.add(t, values)
    return [
        Errors((a.rms, b.rms), (a.peak, b.peak), mixed, kind)
        for a, b in zip(own, other, strict=True)
    ]


def _check_float64(name: str, values: np.ndarray) -> None:
    """Less than float64 would be no truth, and nothing else would tell."""
    if values.dtype.kind not in "biu" and values.dtype != np.float64:
        raise KitoError(
            f"output '{name}' of its copy in float64 is {values.dtype}: a layer casts what it "
            f"returns, or {keras.backend.backend()} computed in less than float64"
        )


class _Sum:
    """The RMS and the largest of an error, relative to those of the truth, over batches."""

    def __init__(self) -> None:
        self._squares = self._truth = self._largest = self._scale = 0.0

    def add(self, truth: np.ndarray, values: np.ndarray) -> None:
        exact = truth.astype(np.float64, copy=False).ravel()
        error = np.abs(exact - values.ravel())
        self._squares += float(np.dot(error, error))
        self._truth += float(np.dot(exact, exact))
        # np.maximum, unlike max, lets NaN through; NaN is within no limit.
        self._largest = float(np.maximum(self._largest, np.max(error, initial=0.0)))
        self._scale = max(self._scale, float(np.max(np.abs(exact), initial=0.0)))

    @property
    def rms(self) -> float:
        return float(np.sqrt(_ratio(self._squares, self._truth)))

    @property
    def peak(self) -> float:
        return _ratio(self._largest, self._scale)


def _ratio(error: float, truth: float) -> float:
    if truth:
        return error / truth
    return 0.0 if error == 0 else float("inf")
