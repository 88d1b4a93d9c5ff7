"""Are two models' outputs the same, and could this comparison have failed?

An output passes where ``max|a - b| <= atol + rtol * max|a|``: the tolerance is relative to the
output's own scale. Where only the *default* tolerance is exceeded, both models are held against the
original in float64, since deep networks amplify float32 rounding: the reduced model passes, *within
rounding*, where its RMS error in that output is at most 1.5 times the original's own
(:mod:`kito.equivalence.float64`). A comparison of outputs that hardly differ from sample to sample could not
have failed, and fails as *insensitive*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kito.equivalence.criteria import Criteria
from kito.equivalence.departure import find_departure
from kito.equivalence.difference import Difference, output_pairs
from kito.equivalence.float64 import Errors, errors_vs_float64
from kito.equivalence.result import SENSITIVITY, Comparison, OutputComparison
from kito.equivalence.tolerance import Advice, about_insensitive, about_tolerance, rtol_text
from kito.errors import KitoError
from kito.graph.keras_internals import all_layers, output_names
from kito.runtime.batch import Inputs, batch_limit, batches, sample_count, samples_at_once
from kito.runtime.inputs import resolve_inputs
from kito.runtime.pair import as_functional_pair, renamed_inputs
from kito.runtime.random_inputs import random_inputs

__all__ = ["Comparison", "OutputComparison", "Tolerance", "compare", "compare_two_models_results"]

Tolerance = tuple[float | None, float | None]
"""(rtol, atol); None is the default."""

RTOL, RTOL_MIXED = 1e-4, 1e-2
_DEPARTURES = (1e-5, 1e-3)
"""The least and the largest difference that makes a layer depart, relative to its own scale."""


def compare(
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
    batch_size: int = 8,
) -> Comparison:
    """Compare the outputs of two models in inference.

    Args:
        original: the model that is right by definition.
        reduced: the model to judge; it takes the same inputs, in the same order where they are
            named otherwise. Or a :class:`kito.runtime.engine.LoadedFile`.
        inputs: see :func:`kito.runtime.inputs.resolve_inputs`; None for seeded random samples.
        samples: number of random samples.
        rtol: tolerance relative to each output's largest absolute value. None: 1e-4, or 1e-2 where
            the model computes in float16 or bfloat16; a value is strict: nothing beyond it passes.
        atol: absolute tolerance, in the outputs' units; None: 0; a value is strict.
        seed: of the random samples.
        outputs: (rtol, atol) of single outputs, by name.
        reference: "float64" to hold both models against the original in float64 always.
        batch_size: samples per call, which bounds the memory.

    Raises:
        KitoError: the inputs do not fit, an output is named that does not exist, the two models'
            outputs differ in structure, names or shapes, a model cannot be run on the inputs, or
            there are fewer than two samples.
    """
    original, reduced = as_functional_pair(original, reduced)
    fed = resolve_inputs(original, inputs, samples=samples, seed=seed)
    if sample_count(fed) < 2:
        raise KitoError("one sample cannot show that outputs depend on the input: give two or more")
    written = [rtol, atol, *(x for pair in (outputs or {}).values() for x in pair)]
    if any(x is not None and not 0 <= x < np.inf for x in written):
        raise KitoError(f"tolerances are numbers of 0 or more; got {written}")
    if reference not in (None, "float64"):
        raise KitoError(f"reference: {reference!r} is neither None nor 'float64'")
    names = output_names(original)
    tolerances = _tolerances(original, names, rtol, atol, outputs or {})
    differences = {name: Difference() for name in names}
    size = batch_limit(original, batch_size)
    renamed = renamed_inputs(fed, original, reduced)
    for batch, twin in zip(batches(fed, size), batches(renamed, size), strict=True):
        for name, a, b in output_pairs(original, reduced, batch, twin):
            differences[name].add(a, b)
    found = {name: _judge(differences[name], *tolerances[name]) for name in names}
    worst = max(names, key=lambda name: (bool(found[name].faulty), found[name].required_rtol))
    telling = differences[worst].worst
    return _conclude(original, reduced, fed, telling, found, reference, size)


def _tolerances(
    model: Any,
    names: list[str],
    rtol: float | None,
    atol: float | None,
    outputs: Mapping[str, Tolerance],
) -> dict[str, tuple[float, float, bool]]:
    """(rtol, atol, strict) of each output."""
    unknown = [name for name in outputs if name not in names]
    if unknown:
        raise KitoError(f"tolerance for {unknown}: no such output; the model's are {names}")
    default = _default_rtol(model)
    found = {}
    for name in names:
        own_rtol, own_atol = outputs.get(name, (None, None))
        wanted_rtol = rtol if own_rtol is None else own_rtol
        wanted_atol = atol if own_atol is None else own_atol
        strict = wanted_rtol is not None or wanted_atol is not None
        found[name] = (default if wanted_rtol is None else wanted_rtol, wanted_atol or 0.0, strict)
    return found


def _default_rtol(model: Any) -> float:
    return RTOL_MIXED if _is_mixed(model) else RTOL


def _is_mixed(model: Any) -> bool:
    return any(x.compute_dtype in ("float16", "bfloat16") for x in all_layers(model))


def _judge(found: Difference, rtol: float, atol: float, strict: bool) -> OutputComparison:
    if found.integral and not strict:
        rtol = 0.0  # labels and masks are the same or they are not
    over = max(found.max_abs - atol, 0.0)
    required = over / found.scale if found.scale else (0.0 if over == 0 else float("inf"))
    return OutputComparison(
        max_abs=found.max_abs,
        mean_abs=found.mean_abs,
        scale=found.scale,
        spread=found.spread,
        rtol=rtol,
        atol=atol,
        required_rtol=required,
        strict=strict,
        faulty=found.faulty,
    )


def _conclude(
    original: Any,
    reduced: Any,
    fed: Inputs,
    telling: int,
    found: dict[str, OutputComparison],
    reference: str | None,
    size: int,
) -> Comparison:
    faulty = [f"output '{name}': {x.faulty}" for name, x in found.items() if x.faulty]
    dull = {name: x for name, x in found.items() if x.insensitive}
    beyond = {name: x for name, x in found.items() if not x.passed and not x.faulty}
    strict = {name: x for name, x in beyond.items() if x.strict}
    errors: dict[str, Errors] = {}
    problems: dict[str, str] = {}
    if not faulty and (reference or (beyond and not strict and not dull)):
        errors, problems = _against_float64(original, reduced, fed, list(found), size)
        if not reference:
            problems = {name: x for name, x in problems.items() if name in beyond}
    excused = {name for name in beyond if errors and name not in problems} - set(strict)
    reasons = faulty + [_too_dull(name, x) for name, x in dull.items()]
    reasons += [_too_far(name, x) for name, x in beyond.items() if name not in excused]
    reasons += [f"output '{name}': {x}" for name, x in problems.items()]
    passed = not reasons
    departure, advice = None, Advice()
    if (beyond or faulty) and not passed:
        far = float("inf") if faulty else max(x.required_rtol for x in beyond.values())
        limit = float(np.clip(far / 3, *_DEPARTURES))
        departure = find_departure(original, reduced, fed, telling, limit)
    if dull and not faulty and not beyond:
        advice = about_insensitive(found, dull, _default_rtol(original))
    elif not dull and not faulty and set(beyond) - excused and not (reference and problems):
        failed = {name: x for name, x in beyond.items() if name not in excused}
        shown = {name: errors[name].rms for name in failed if name in errors and name in problems}
        advice = about_tolerance(found, failed, shown, _default_rtol(original))
    return Comparison(
        passed=passed,
        insensitive=bool(dull),
        within_rounding=passed and bool(excused),
        samples=sample_count(fed),
        outputs=found,
        error_vs_float64=max((x.rms for x in errors.values()), key=_apart, default=None),
        first_departure=None if departure is None else departure.layer,
        reason="\n".join(reasons),
        departure=departure,
        float64_device=next((x.device for x in errors.values()), None),
        suggestion=advice.line,
        advice=advice.text,
    )


def _against_float64(
    original: Any, reduced: Any, fed: Inputs, names: list[str], size: int
) -> tuple[dict[str, Errors], dict[str, str]]:
    """By output, the errors against the original in float64, and why they are not rounding."""
    try:
        each = errors_vs_float64(original, reduced, fed, size, _is_mixed(original))
    except KitoError as error:
        return {}, dict.fromkeys(names, f"the original cannot be run in float64: {error}")
    errors = dict(zip(names, each, strict=True))
    return errors, {name: x.problem for name, x in errors.items() if x.problem}


def _apart(rms: tuple[float, float]) -> float:
    return rms[1] / rms[0] if rms[0] else rms[1]


def _too_far(name: str, x: OutputComparison) -> str:
    return (
        f"output '{name}' differs by {x.max_abs:.3g}, allowed {x.allowed:.3g} (rtol {x.rtol:g} of "
        f"its scale {x.scale:.3g}, atol {x.atol:g}); rtol {rtol_text(x.required_rtol)} would have "
        "passed"
    )


def _too_dull(name: str, x: OutputComparison) -> str:
    return (
        f"output '{name}' is insensitive: across samples it varies by {x.spread:.3g}, less than "
        f"{SENSITIVITY} times the allowed difference {x.allowed:.3g}: this comparison could not "
        "have failed. Feed more varied inputs or real data (inputs.data), or set weights: random"
    )


def compare_two_models_results(
    m1: Any, m2: Any, test_number: int = 10000, max_batch: int = 10000
) -> float:
    """KITO's own check: print and return the largest absolute difference on random inputs.

    Args:
        m1: a model.
        m2: another one that takes the same inputs.
        test_number: number of samples, uniform in [0, 1).
        max_batch: most samples held at a time; of large inputs fewer are.

    Returns:
        The largest difference; NaN if an output is.

    Raises:
        KitoError: a number is not positive, or the outputs differ in structure, names or shapes.
    """
    if test_number < 1 or max_batch < 1:
        raise KitoError("test_number and max_batch must be at least 1")
    m1, m2 = as_functional_pair(m1, m2)
    size = min(max_batch, samples_at_once(random_inputs(m1, samples=1), 256))
    size = batch_limit(m1, size)
    largest = 0.0
    for done in range(0, test_number, size):
        batch = random_inputs(m1, samples=min(size, test_number - done), seed=done)
        for _, a, b in output_pairs(m1, m2, batch, renamed_inputs(batch, m1, m2)):
            difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
            # np.maximum, unlike max, lets NaN through
            largest = float(np.maximum(largest, np.max(difference, initial=0.0)))
    print(f"Max difference on {test_number} samples: {largest}")  # noqa: T201 (KITO printed it)
    return largest


def compare_with(original: Any, reduced: Any, inputs: Any, criteria: Criteria) -> Comparison:
    """Compare the outputs of two models by declared criteria: see :func:`compare`."""
    return compare(
        original,
        reduced,
        inputs,
        rtol=criteria.rtol,
        atol=criteria.atol,
        outputs=criteria.outputs,
        reference=criteria.reference,
    )
