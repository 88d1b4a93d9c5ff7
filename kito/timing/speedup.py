"""How much faster a reduced model is: its compiled inference call against the original's."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, get_args

import keras
import numpy as np

from kito.errors import KitoError, describe
from kito.graph.torch_model import framework_of
from kito.runtime.backends import Jit
from kito.runtime.batch import Inputs, batch_limit, sample_count
from kito.runtime.devices import Device, compiled_call, detect, threads, uses_jit
from kito.runtime.inputs import resolve_inputs
from kito.runtime.nvml import GpuWatch
from kito.runtime.pair import as_functional_pair, renamed_inputs
from kito.runtime.torch_pair import wrapped_modules
from kito.timing.budget import Budget, plan
from kito.timing.overhead import measure_overheads
from kito.timing.paired import measure_pairs
from kito.timing.protocol import Calls, Question
from kito.timing.result import SpeedupEstimate, milliseconds, quantiles
from kito.timing.verdict import explain


def measure_speedup(  # noqa: PLR0913 (public)
    original: Any,
    reduced: Any,
    inputs: Any = None,
    *,
    batch_size: int = 32,
    minimum: float | None = None,
    confidence: float = 0.95,
    budget_s: Budget = "auto",
    seed: int = 0,
    device: Device | None = None,
    jit: Jit = "auto",
    progress: Callable[[int], None] | None = None,
) -> SpeedupEstimate:
    """Time two models' compiled inference calls against each other, on one batch on the device.

    Each round times the original, the reduced model and the original compiled once more, in random
    order (:mod:`kito.timing.paired`). Garbage collection is off during that. What a caller pays
    beside the compiled call, the transfer of the batch and ``predict``, is timed afterwards and
    reported apart. This function does not compare outputs: see :func:`kito.compare`.

    Args:
        original: a built Keras model, or a ``torch.nn.Module``.
        reduced: a model of the same inputs, in the same order where their names differ.
        inputs: as for :func:`kito.compare`; None for random ones. The batch is their first samples,
            repeated where there are too few. For PyTorch modules, tensors or arrays as well; None
            is for images, signals or volumes only.
        batch_size: samples per call.
        minimum: the ratio to judge; 1 means "not slower". None to measure without a verdict, for
            at most a quarter of the budget.
        confidence: of the interval that the verdict is on, above 0 and below 1.
        budget_s: seconds for warm-up and pairs, or ``auto``: what a decision needs, at least 60
            pairs and at most ten minutes; without a minimum, as 60 s. At least three pairs are
            timed, whatever they take. Tracing does not count.
        seed: of random inputs, of the order within pairs, and of the bootstrap.
        device: from :func:`kito.runtime.devices.detect`, which is the default.
        jit: whether XLA, or ``torch.compile`` for PyTorch, compiles both models: ``on``, ``off``,
            or ``auto``. With ``auto``, JAX always compiles, and PyTorch does not; otherwise models
            on a GPU are compiled where the original's own ``predict`` would be, and models on a CPU
            are not.
        progress: called between rounds, outside of what is timed, with the number of pairs so far.

    Raises:
        KitoError: an argument is out of its range, the inputs do not fit, or a model cannot be
            called on them.
    """
    start = perf_counter()
    question = Question(minimum, confidence, budget_s)
    original, reduced, inputs = wrapped_modules(original, reduced, inputs)
    _check_models(original=original, reduced=reduced)
    check_arguments(batch_size, question, jit)
    device = detect(framework=framework_of(original)) if device is None else device
    original, reduced = as_functional_pair(original, reduced)
    batch = timed_batch(original, inputs, batch_size, seed)
    reduced_batch = renamed_inputs(batch, original, reduced)
    watch = GpuWatch()

    def between(pairs: int) -> None:
        if device.kind == "gpu":
            watch.look()
        if progress is not None:
            progress(pairs)

    try:
        compiled = uses_jit(original, jit, device)
        calls = Calls(
            original=compiled_call(original, batch, device, compiled),
            reduced=compiled_call(reduced, reduced_batch, device, compiled),
            control=compiled_call(original, batch, device, compiled),
        )
        rng = np.random.default_rng(seed)
        pairs = measure_pairs(calls, question, rng=rng, clock=perf_counter, between=between)
    except KitoError:
        raise
    except Exception as error:
        raise KitoError(
            f"the models '{original.name}' and '{reduced.name}' cannot be timed on a batch of "
            f"{batch_size} on '{device.name}': {describe(error)}; check that the model runs on "
            "such a batch, or use a smaller one if memory ran out"
        ) from error
    each_s = plan(budget_s, judged=True).usual_s / 50
    overheads = measure_overheads(reduced, reduced_batch, device, perf_counter, each_s)
    return SpeedupEstimate(
        ratio=pairs.ratio,
        low=pairs.low,
        high=pairs.high,
        noise_floor=pairs.noise_floor,
        verdict=pairs.verdict,
        original_ms=milliseconds(pairs.original),
        reduced_ms=milliseconds(pairs.reduced),
        original_quantiles_ms=quantiles(pairs.original),
        reduced_quantiles_ms=quantiles(pairs.reduced),
        pairs=len(pairs.original),
        device=device,
        batch_size=batch_size,
        minimum=minimum,
        confidence=confidence,
        seconds=perf_counter() - start,
        explanation=explain(pairs, question),
        warnings=tuple(watch.warnings()),
        jit=compiled,
        threads=threads(original),
        transfer_ms=overheads.transfer_ms,
        predict_ms=overheads.predict_ms,
        gpu=watch.figures(),
    )


def _check_models(**models: object) -> None:
    for role, model in models.items():
        if not isinstance(model, keras.Model):
            raise KitoError(
                f"the {role} model is of type {type(model).__name__}; give a keras.Model, or a "
                "torch.nn.Module"
            )


def check_arguments(batch_size: int, question: Question, jit: str) -> None:
    """Raise KitoError where an argument is out of its range."""
    minimum, confidence, budget_s = question.minimum, question.confidence, question.budget_s
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise KitoError(f"batch_size is {batch_size!r}; it must be a whole number, 1 or more")
    if minimum is not None and not 0 <= minimum < math.inf:
        raise KitoError(f"minimum is {minimum!r}; it must be a ratio of 0 or more, or None")
    if not 0 < confidence < 1:
        raise KitoError(f"confidence is {confidence!r}; it must be above 0 and below 1")
    if not _is_budget(budget_s):
        raise KitoError(
            f"budget_s is {budget_s!r}; it must be a number of seconds above 0, or auto"
        )
    if jit not in get_args(Jit):
        raise KitoError(f"jit is {jit!r}; it must be one of {', '.join(get_args(Jit))}")


def _is_budget(value: Any) -> bool:
    if isinstance(value, str):
        return value == "auto"
    try:
        return 0 < float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False


def timed_batch(model: keras.Model, inputs: Any, batch_size: int, seed: int = 0) -> Inputs:
    """The first samples of the inputs, repeated where there are too few.

    Raises:
        KitoError: the inputs do not fit, or the model takes batches of another size only.
    """
    fixed = batch_limit(model, batch_size)
    if fixed != batch_size:
        raise KitoError(
            f"model '{model.name}' takes batches of {fixed} only; use batch_size={fixed}"
        )
    samples = resolve_inputs(model, inputs, samples=batch_size, seed=seed)
    indices = np.arange(batch_size) % sample_count(samples)
    return {name: values[indices] for name, values in samples.items()}
