"""``compare()``: whether two models give the same outputs, and whether this could have shown it.

An output passes where ``max|a - b| <= atol + rtol * max|a|``: the tolerance is relative to the
output's own scale. Where only the *default* tolerance is exceeded, both models are compared with
the original in float64, since deep networks amplify float32 rounding. The reduced model passes,
*within rounding*, where its RMS error in that output is at most 1.5 times the original's own
(:mod:`kito.equivalence.float64`). A comparison of outputs that hardly differ from sample to sample
could not have failed, and fails as *insensitive*. :mod:`kito.equivalence.status` holds these
decisions. Both models compute in full float32 meanwhile, also on a GPU that would multiply in TF32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kito.equivalence.criteria import Criteria, Tolerance
from kito.equivalence.departure import Departure, find_departure
from kito.equivalence.difference import Difference, output_pairs
from kito.equivalence.float64 import run_in_float64
from kito.equivalence.result import Comparison, OutputComparison
from kito.equivalence.status import (
    JudgedOutput,
    Status,
    advise,
    judge_outputs,
    needs_float64,
    reasons,
)
from kito.errors import KitoError
from kito.graph.keras_internals import all_layers, output_names
from kito.runtime import backends
from kito.runtime.batch import Inputs, batch_limit, batches, sample_count
from kito.runtime.inputs import resolve_inputs
from kito.runtime.pair import as_functional_pair, renamed_inputs
from kito.runtime.torch_pair import wrapped_modules

__all__ = ["Comparison", "Criteria", "OutputComparison", "Tolerance", "compare", "compare_with"]

RTOL, RTOL_MIXED = 1e-4, 1e-2
"""The default relative tolerance: of float32, and of a model that computes in 16 bits."""
_BATCH_SIZE = 8
_DEPARTURES = (1e-5, 1e-3)
"""The least and the largest difference that makes a layer depart, relative to its own scale."""


def compare(  # noqa: PLR0913 (public)
    original: Any,
    reduced: Any,
    inputs: Any = None,
    *,
    samples: int = 32,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    outputs: Mapping[str, Tolerance] | None = None,
    reference: str | None = None,
    batch_size: int = _BATCH_SIZE,
) -> Comparison:
    """Compare the outputs of two models in inference.

    Args:
        original: the model that is right by definition: a Keras model, or a ``torch.nn.Module``.
        reduced: the model to judge, or a :class:`kito.runtime.engine.LoadedFile`. It takes the same
            inputs; where they have other names, in the same order.
        inputs: see :func:`kito.runtime.inputs.resolve_inputs`; None for seeded random samples. For
            PyTorch modules, tensors or arrays as well; None is for images, signals or volumes only.
        samples: number of random samples.
        rtol: tolerance relative to each output's largest absolute value. None: 1e-4, or 1e-2 where
            the model computes in float16 or bfloat16; a value is strict: nothing beyond it passes.
        atol: absolute tolerance, in the outputs' units. None: 0; a value is strict.
        seed: seed of the random samples.
        outputs: (rtol, atol) of single outputs, by name.
        reference: ``float64`` to compare both models with the original in float64 always; None to
            do so only where the default tolerance is exceeded.
        batch_size: samples per call, which bounds the memory.

    Raises:
        KitoError: the inputs do not fit, an output is named that does not exist, the two models'
            outputs differ in structure, names or shapes, a model cannot be run on the inputs, or
            there are fewer than two samples.
    """
    original, reduced, inputs = wrapped_modules(original, reduced, inputs)
    original, reduced = as_functional_pair(original, reduced)
    values = resolve_inputs(original, inputs, samples=samples, seed=seed)
    criteria = Criteria(rtol, atol, outputs or {}, reference)
    with backends.full_float32(original):
        return _compare(original, reduced, values, criteria, batch_size)


def compare_with(original: Any, reduced: Any, inputs: Any, criteria: Criteria) -> Comparison:
    """Compare the outputs of two models in inference, by criteria that were declared before.

    Args:
        original: the model that is right by definition.
        reduced: the model to judge, or a :class:`kito.runtime.engine.LoadedFile`. It takes the same
            inputs; where they have other names, in the same order.
        inputs: see :func:`kito.runtime.inputs.resolve_inputs`; None for 32 seeded random samples.
        criteria: the tolerances and the reference.

    Raises:
        KitoError: the inputs do not fit, an output is named that does not exist, the two models'
            outputs differ in structure, names or shapes, a model cannot be run on the inputs, or
            there are fewer than two samples.
    """
    original, reduced = as_functional_pair(original, reduced)
    values = resolve_inputs(original, inputs)
    with backends.full_float32(original):
        return _compare(original, reduced, values, criteria, _BATCH_SIZE)


def _compare(
    original: Any, reduced: Any, inputs: Inputs, criteria: Criteria, batch_size: int
) -> Comparison:
    """``inputs`` are resolved, and both models are functional."""
    if sample_count(inputs) < 2:
        raise KitoError("one sample cannot show that outputs depend on the input: give two or more")
    _check(criteria)
    names = output_names(original)
    tolerances = _tolerances(original, names, criteria)
    run = _Run(original, reduced, inputs, batch_limit(original, batch_size))
    differences = run.differences(names)
    outputs = {name: _figures(differences[name], tolerances[name]) for name in names}
    worst = max(names, key=lambda name: (bool(outputs[name].faulty), outputs[name].required_rtol))
    return _conclude(run, outputs, differences[worst].worst_sample, criteria.reference)


def _check(criteria: Criteria) -> None:
    pairs = [(criteria.rtol, criteria.atol), *criteria.outputs.values()]
    given = [value for pair in pairs for value in pair]
    if any(value is not None and not 0 <= value < np.inf for value in given):
        raise KitoError(f"tolerances are numbers of 0 or more; got {given}")
    if criteria.reference not in (None, "float64"):
        raise KitoError(f"reference: {criteria.reference!r} is neither None nor 'float64'")


@dataclass(frozen=True)
class _Run:
    """Two functional models and what they are run on."""

    original: Any
    reduced: Any
    inputs: Inputs
    batch_size: int

    def differences(self, names: list[str]) -> dict[str, Difference]:
        """How each output differs, over all batches."""
        differences = {name: Difference() for name in names}
        renamed = renamed_inputs(self.inputs, self.original, self.reduced)
        size = self.batch_size
        for batch, reduced_batch in zip(
            batches(self.inputs, size), batches(renamed, size), strict=True
        ):
            for name, a, b in output_pairs(self.original, self.reduced, batch, reduced_batch):
                differences[name].add(a, b)
        return differences


@dataclass(frozen=True)
class _Applied:
    """The tolerance that is applied to one output; strict where the user wrote it."""

    rtol: float
    atol: float
    strict: bool


def _tolerances(model: Any, names: list[str], criteria: Criteria) -> dict[str, _Applied]:
    unknown = [name for name in criteria.outputs if name not in names]
    if unknown:
        raise KitoError(f"tolerance for {unknown}: no such output; the model's are {names}")
    default = _default_rtol(model)
    applied = {}
    for name in names:
        rtol, atol = criteria.outputs.get(name, (None, None))
        rtol = criteria.rtol if rtol is None else rtol
        atol = criteria.atol if atol is None else atol
        strict = rtol is not None or atol is not None
        applied[name] = _Applied(default if rtol is None else rtol, atol or 0.0, strict)
    return applied


def _default_rtol(model: Any) -> float:
    return RTOL_MIXED if _is_mixed(model) else RTOL


def _is_mixed(model: Any) -> bool:
    return any(layer.compute_dtype in ("float16", "bfloat16") for layer in all_layers(model))


def _figures(difference: Difference, tolerance: _Applied) -> OutputComparison:
    rtol, atol = tolerance.rtol, tolerance.atol
    if difference.integral and not tolerance.strict:
        rtol = 0.0  # labels and masks are the same or they are not
    excess = max(difference.max_abs - atol, 0.0)
    unscaled = 0.0 if excess == 0 else float("inf")
    required = excess / difference.scale if difference.scale else unscaled
    return OutputComparison(
        max_abs=difference.max_abs,
        mean_abs=difference.mean_abs,
        scale=difference.scale,
        spread=difference.spread,
        rtol=rtol,
        atol=atol,
        required_rtol=required,
        strict=tolerance.strict,
        faulty=difference.faulty,
    )


def _conclude(
    run: _Run, outputs: dict[str, OutputComparison], worst_sample: int, reference: str | None
) -> Comparison:
    float64 = None
    if needs_float64(outputs.values(), reference):
        float64 = run_in_float64(
            run.original, run.reduced, run.inputs, run.batch_size, _is_mixed(run.original)
        )
    judged = judge_outputs(outputs, reference, float64)
    why = reasons(judged)
    departure = _departure(run, judged, worst_sample) if why else None
    advice = advise(judged, reference, _default_rtol(run.original))
    return Comparison(
        passed=not why,
        insensitive=any(x.output.insensitive for x in judged),
        within_rounding=not why and any(x.status is Status.EXCUSED for x in judged),
        samples=sample_count(run.inputs),
        outputs=outputs,
        error_vs_float64=None if float64 is None else float64.worst_rms,
        first_departure=None if departure is None else departure.layer,
        reason="\n".join(why),
        departure=departure,
        float64_device=None if float64 is None else float64.device,
        suggestion=advice.line,
        advice=advice.text,
    )


def _departure(run: _Run, judged: list[JudgedOutput], worst_sample: int) -> Departure | None:
    """The first layer that departs, where an output is faulty or beyond its tolerance."""
    required = [
        float("inf") if x.status is Status.FAULTY else x.output.required_rtol
        for x in judged
        if x.status is not Status.OK
    ]
    if not required:
        return None
    limit = float(np.clip(max(required) / 3, *_DEPARTURES))
    return find_departure(run.original, run.reduced, run.inputs, worst_sample, limit)
