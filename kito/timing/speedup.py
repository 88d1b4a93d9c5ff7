"""How much faster a reduced model is: its compiled inference call against the original's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, get_args

import keras
import numpy as np

from kito.errors import KitoError, describe
from kito.runtime.backends import Jit
from kito.runtime.batch import Inputs, batch_limit, sample_count
from kito.runtime.devices import Device, compiled_call, detect, threads, uses_jit
from kito.runtime.inputs import resolve_inputs
from kito.runtime.nvml import GpuWatch
from kito.runtime.pair import as_functional_pair, renamed_inputs
from kito.timing.overhead import measure_overheads
from kito.timing.paired import measure_pairs
from kito.timing.statistics import least_for
from kito.timing.verdict import Verdict, explain


@dataclass(frozen=True)
class SpeedupEstimate:
    """How many times as fast the reduced model is, and how sure that is.

    Attributes:
        ratio: time of the original / time of the reduced model; median over the pairs.
        low: low end of the interval of ``ratio``.
        high: high end of it. With fewer than about 7 pairs no interval is as sure as
            ``confidence``; then these are the least and the greatest ratio, and no verdict is
            given on them.
        noise_floor: how far from 1 the original's ratio to itself, compiled once more, can seem to
            be here: ``max(1 - low, high - 1)`` of the interval of that ratio, from the same rounds.
        verdict: ``pass`` where ``low`` reaches the minimum, ``fail`` where ``high`` does not,
            ``inconclusive`` where the budget ended before either; None without a minimum. Where the
            minimum is above 1 and within the noise floor, the whole interval must moreover lie
            outside the noise floor.
        original_ms: median and 90th percentile of the original's call, in milliseconds.
        reduced_ms: the same of the reduced model's call.
        pairs: how many pairs of calls were timed.
        device: where.
        batch_size: samples per call.
        minimum: the ratio that was to be reached, or None.
        confidence: of the interval, however often it was looked at before.
        seconds: that the measurement took, tracing and warm-up included.
        explanation: the verdict in a sentence.
        warnings: what makes the figures doubtful, such as a GPU whose clock fell; mostly empty.
        jit: whether XLA compiled both models.
        threads: that one operation may use on the CPU.
        transfer_ms: median time to bring the batch to the device, in milliseconds; not part of the
            ratio. None where it cannot be told, as for the following.
        predict_ms: median time of the reduced model's ``predict`` on the batch, in milliseconds.
        gpu: clocks, power, temperature and throttling while it was timed (see
            :meth:`kito.runtime.nvml.GpuWatch.figures`); None on a CPU, and where NVML tells nothing.
    """

    ratio: float
    low: float
    high: float
    noise_floor: float
    verdict: Verdict | None
    original_ms: tuple[float, float]
    reduced_ms: tuple[float, float]
    pairs: int
    device: Device
    batch_size: int
    minimum: float | None
    confidence: float
    seconds: float
    explanation: str
    warnings: tuple[str, ...]
    jit: bool
    threads: int
    transfer_ms: float | None
    predict_ms: float | None
    gpu: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data: an entry of ``speedup`` of the JSON report."""
        return {
            "batch_size": self.batch_size,
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
            "noise_floor": self.noise_floor,
            "minimum": self.minimum,
            "verdict": self.verdict,
            "explanation": self.explanation,
            "warnings": list(self.warnings),
            "confidence": self.confidence,
            "original_ms": list(self.original_ms),
            "reduced_ms": list(self.reduced_ms),
            "pairs": self.pairs,
            "skipped": None,
            "device_name": self.device.name,
            "jit": self.jit,
            "threads": self.threads,
            "transfer_ms": self.transfer_ms,
            "predict_ms": self.predict_ms,
            "gpu": self.gpu,
        }


def measure_speedup(
    original: keras.Model,
    reduced: keras.Model,
    inputs: Any = None,
    *,
    batch_size: int = 32,
    minimum: float | None = None,
    confidence: float = 0.95,
    budget_s: float = 60.0,
    seed: int = 0,
    device: Device | None = None,
    jit: Jit = "auto",
    progress: Callable[[int], None] | None = None,
) -> SpeedupEstimate:
    """Time two models' compiled inference calls against each other, on one batch on the device.

    Each round times the original, the reduced model and the original compiled once more, in random
    order (:mod:`kito.timing.paired`); garbage collection is off meanwhile. What is not the compiled call,
    the way of the batch to the device and ``predict``, is timed afterwards and apart.
    Whether their outputs are the same is not asked here: see :func:`kito.compare`.

    Args:
        original: a built model.
        reduced: a model of the same inputs, in the same order where they are named otherwise.
        inputs: as for :func:`kito.compare`; None for random ones. The batch is their first samples,
            repeated where there are too few.
        batch_size: samples per call.
        minimum: the ratio to judge; 1 means "not slower". None to measure without a verdict, for
            at most a quarter of the budget.
        confidence: of the interval that the verdict is on, above 0 and below 1.
        budget_s: seconds for warm-up and pairs. At least three pairs are timed. Tracing does not
            count.
        seed: of random inputs, of the order within pairs, and of the bootstrap.
        device: from :func:`kito.runtime.devices.detect`, which is the default.
        jit: whether XLA compiles both: ``on``, ``off``, or ``auto``: on a GPU as the original's own
            ``predict`` would have it, on a CPU not, but always with JAX.
        progress: called between rounds, outside of what is timed, with the pairs so far.

    Raises:
        KitoError: an argument is out of its range, the inputs do not fit, or a model cannot be
            called on them.
    """
    start = perf_counter()
    _check(original, reduced, batch_size, minimum, confidence, budget_s, jit)
    device = detect() if device is None else device
    original, reduced = as_functional_pair(original, reduced)
    batch = _batch(original, inputs, batch_size, seed)
    twin = renamed_inputs(batch, original, reduced)
    watch = GpuWatch()

    def between(pairs: int) -> None:
        if device.kind == "gpu":
            watch.look()
        if progress is not None:
            progress(pairs)

    try:
        compiled = uses_jit(original, jit, device)
        pairs = measure_pairs(
            compiled_call(original, batch, device, compiled),
            compiled_call(reduced, twin, device, compiled),
            compiled_call(original, batch, device, compiled),
            minimum=minimum,
            confidence=confidence,
            budget_s=budget_s,
            rng=np.random.default_rng(seed),
            clock=perf_counter,
            between=between,
        )
    except KitoError:
        raise
    except Exception as error:
        raise KitoError(
            f"the models '{original.name}' and '{reduced.name}' cannot be timed on a batch of "
            f"{batch_size} on '{device.name}': {describe(error)}; check that the model runs on "
            "such a batch, or use a smaller one if memory ran out"
        ) from error
    overheads = measure_overheads(reduced, twin, device, perf_counter, budget_s / 50)
    count = len(pairs.original)
    return SpeedupEstimate(
        ratio=pairs.ratio,
        low=pairs.low,
        high=pairs.high,
        noise_floor=pairs.noise_floor,
        verdict=pairs.verdict,
        original_ms=_milliseconds(pairs.original),
        reduced_ms=_milliseconds(pairs.reduced),
        pairs=count,
        device=device,
        batch_size=batch_size,
        minimum=minimum,
        confidence=confidence,
        seconds=perf_counter() - start,
        explanation=explain(
            pairs.verdict,
            pairs.ratio,
            (pairs.low, pairs.high),
            floor=pairs.noise_floor,
            minimum=minimum,
            confidence=confidence,
            pairs=count,
            few=count < least_for((1 - confidence) / 2),
            budget_s=budget_s,
        ),
        warnings=tuple(watch.warnings()),
        jit=compiled,
        threads=threads(),
        transfer_ms=overheads.transfer_ms,
        predict_ms=overheads.predict_ms,
        gpu=watch.figures(),
    )


def _check(
    original: object,
    reduced: object,
    batch_size: int,
    minimum: float | None,
    confidence: float,
    budget_s: float,
    jit: str,
) -> None:
    for role, model in (("original", original), ("reduced", reduced)):
        if not isinstance(model, keras.Model):
            raise KitoError(
                f"the {role} model is of type {type(model).__name__}; give a keras.Model"
            )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise KitoError(f"batch_size is {batch_size!r}; it must be a whole number, 1 or more")
    if minimum is not None and not 0 <= minimum < math.inf:
        raise KitoError(f"minimum is {minimum!r}; it must be a ratio of 0 or more, or None")
    if not 0 < confidence < 1:
        raise KitoError(f"confidence is {confidence!r}; it must be above 0 and below 1")
    if not 0 < budget_s < math.inf:
        raise KitoError(f"budget_s is {budget_s!r}; it must be a number of seconds above 0")
    if jit not in get_args(Jit):
        raise KitoError(f"jit is {jit!r}; it must be one of {', '.join(get_args(Jit))}")


def _batch(model: keras.Model, inputs: Any, batch_size: int, seed: int) -> Inputs:
    fixed = batch_limit(model, batch_size)
    if fixed != batch_size:
        raise KitoError(
            f"model '{model.name}' takes batches of {fixed} only; use batch_size={fixed}"
        )
    samples = resolve_inputs(model, inputs, samples=batch_size, seed=seed)
    which = np.arange(batch_size) % sample_count(samples)
    return {name: values[which] for name, values in samples.items()}


def _milliseconds(seconds: tuple[float, ...]) -> tuple[float, float]:
    middle, upper = np.percentile(seconds, (50, 90)) * 1000
    return float(middle), float(upper)
