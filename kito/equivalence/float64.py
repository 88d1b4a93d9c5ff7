"""Whether a difference is rounding: both models compared with the original in float64.

Deep networks amplify the rounding of float32, so a right fold can exceed a tolerance. Its error
against the truth is then like the original's own, while that of a wrong fold is orders of magnitude
larger. Each output is judged by itself: an output of large values would hide another.

The truth is a copy of the original whose every float is float64, made once for a comparison and
thrown away after it. It runs in batches of half the size. It runs on a GPU if that has float64, and
on the CPU if not, or if the GPU fails. Of each batch only sums are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kito.errors import KitoError
from kito.graph.build import build_model
from kito.graph.copy_layer import prepare_copies
from kito.graph.keras_internals import output_names
from kito.graph.keras_patches import kept_float64
from kito.graph.limits import Limits, attempt
from kito.graph.torch_model import TorchModel
from kito.rewrite.inline.sweep import read_inlined
from kito.runtime import backends
from kito.runtime.batch import Inputs, batch_limit, batches
from kito.runtime.pair import renamed_inputs
from kito.runtime.run import run

RMS_RATIO = 1.5
"""The largest ratio of the reduced model's RMS error to the original's own, against float64."""
_PEAK_RATIO = 10.0
"""The largest ratio of their largest errors, which vary more but show an error in a few places."""
_UNQUESTIONED = {"float32": 1e-6, "mixed": 1e-4}
"""Below this error, relative to the truth, the ratio of two errors is random, and is not judged."""
_NO_TRUTH = {"float32": 1e-2, "mixed": 0.3}
"""Above this error of the original, the float64 run does not compute the original's function."""


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


@dataclass(frozen=True)
class Float64Run:
    """Both models compared with the original in float64.

    Attributes:
        errors: by output name; empty where the run failed.
        failure: why the original cannot be run in float64; else empty.
    """

    errors: Mapping[str, Errors] = field(default_factory=dict)
    failure: str = ""

    def problem(self, name: str) -> str:
        """Why the difference of an output is not known to be rounding; empty if it is rounding."""
        return self.failure or self.errors[name].problem

    @property
    def worst_rms(self) -> tuple[float, float] | None:
        """(original, reduced) of the output in which they are furthest apart; None if it failed."""
        return max((x.rms for x in self.errors.values()), key=_times, default=None)

    @property
    def device(self) -> str | None:
        """The kind of device that the float64 copy ran on; None if it failed."""
        return next((x.device for x in self.errors.values()), None)


def _times(rms: tuple[float, float]) -> float:
    """How many times the original's error the reduced model's is."""
    return rms[1] / rms[0] if rms[0] else rms[1]


def copy_model(model: Any, dtype: str | None = None) -> Any:
    """A copy of ``model``; ``dtype="float64"`` computes in float64.

    It shares with ``model`` the layers that cannot be copied, which compute in their own dtype.

    Raises:
        UnsupportedModelError: the model cannot be read.
    """
    if isinstance(model, TorchModel):
        return model.in_float64()

    def run(limits: Limits) -> Any:
        graph = read_inlined(model, limits=limits).graph
        prepare_copies(graph)
        return build_model(graph, dtype, limits)[0]

    return attempt(run)


def run_in_float64(
    original: Any, reduced: Any, inputs: Inputs, batch_size: int, mixed: bool
) -> Float64Run:
    """Compare both models with the original in float64; a failure is part of the result.

    Args:
        original: the model that is right by definition.
        reduced: the model to judge.
        inputs: samples, by the original's input names.
        batch_size: samples per call.
        mixed: whether the original computes in float16 or bfloat16.
    """
    try:
        errors = errors_vs_float64(original, reduced, inputs, batch_size, mixed)
    except KitoError as error:
        return Float64Run(failure=f"the original cannot be run in float64: {error}")
    return Float64Run(dict(zip(output_names(original), errors, strict=True)))


def errors_vs_float64(
    original: Any, reduced: Any, inputs: Inputs, batch_size: int, mixed: bool
) -> list[Errors]:
    """The errors of each output, in the model's order, over all samples.

    The arguments are those of :func:`run_in_float64`.

    Raises:
        KitoError: the original cannot be copied to float64 or run in it, or the backend computed
            in a smaller dtype.
    """
    kind: str = backends.of(original).float64_kind()
    try:
        return _errors(original, reduced, inputs, batch_size, mixed, kind)
    except KitoError:
        if kind == "cpu":
            raise
    # A GPU may have too little memory for the copy, or no float64 kernel for a layer.
    return _errors(original, reduced, inputs, batch_size, mixed, "cpu")


def _errors(
    original: Any, reduced: Any, inputs: Inputs, batch_size: int, mixed: bool, kind: str
) -> list[Errors]:
    backend = backends.of()  # that of Keras, which holds the outputs of a PyTorch module, too
    with backend.float64(kind), kept_float64():
        truth = copy_model(original, dtype="float64")
    size = batch_limit(original, max(batch_size // 2, 1))  # its tensors are twice as large
    renamed = renamed_inputs(inputs, original, reduced)
    names = output_names(original)
    own, other = ([_Error() for _ in names] for _ in range(2))
    for batch, reduced_batch in zip(batches(inputs, size), batches(renamed, size), strict=True):
        with backend.float64(kind), kept_float64():
            exact = run(truth, batch)
        for name, values in zip(names, exact, strict=True):
            _check_float64(name, values)
        for model, samples, sums in ((original, batch, own), (reduced, reduced_batch, other)):
            for total, truth_values, values in zip(sums, exact, run(model, samples), strict=True):
                if truth_values.shape != values.shape:
                    raise KitoError("its outputs have other shapes in float64")
                total.add(truth_values, values)
    return [
        Errors((a.rms, b.rms), (a.peak, b.peak), mixed, kind)
        for a, b in zip(own, other, strict=True)
    ]


def _check_float64(name: str, values: np.ndarray) -> None:
    """Refuse outputs of a smaller dtype: they are no truth, and no other error would show it."""
    if values.dtype.kind not in "biu" and values.dtype != np.float64:
        raise KitoError(
            f"output '{name}' of its copy in float64 is {values.dtype}: a layer casts what it "
            f"returns, or {keras.backend.backend()} computed in less than float64"
        )


class _Error:
    """The RMS and the peak of an error over batches, relative to those of the truth."""

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
