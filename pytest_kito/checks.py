"""The four checks of a declared model. Each returns its figures, or raises with what went wrong.

The figures are the sections of the JSON report.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kito.runs import ModelRun
from pytest_kito.suggestions import more_varied

if TYPE_CHECKING:
    from kito.devices import Device
    from kito.timing import SpeedupEstimate
    from pytest_kito.schema import SpeedupSpec


class CheckFailed(Exception):
    """A check says no.

    Attributes:
        data: the figures that it found, for the report.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class CheckSkipped(Exception):
    """A check cannot be made here; the message is the reason."""

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


def check_reduction(run: ModelRun) -> dict[str, Any]:
    """The model can be reduced, and as much as was declared."""
    reduction, spec = run.reduction(), run.spec.reduction
    data = {
        "layers": list(reduction.layers),
        "parameters": list(reduction.parameters),
        "batchnorms": list(reduction.batchnorms),
        "precomputed": reduction.precomputed,
        "opened": list(reduction.opened),
        "seconds": reduction.seconds,
        "rewrites": [
            {"pass_name": x.pass_name, "layers": list(x.layers), "into": x.into}
            for x in reduction.rewrites
        ],
        "kept": [asdict(x) for x in reduction.kept],
    }
    # One that became a Rescaling has not been folded.
    before, after = reduction.batchnorms[0], reduction.batchnorms[1] + reduction.precomputed
    problems = []
    if spec.min_folded is not None and before - after < spec.min_folded:
        problems.append(
            f"{before - after} BatchNormalization folded, min_folded: {spec.min_folded}"
        )
    if spec.max_batchnorms is not None and after > spec.max_batchnorms:
        problems.append(f"{after} BatchNormalization left, max_batchnorms: {spec.max_batchnorms}")
    if problems:
        kept = [f"  {x.layer}: {x.reason}" for x in reduction.kept]
        more = [f"  and {len(kept) - 10} more"] if len(kept) > 10 else []
        raise CheckFailed("\n".join(["; ".join(problems), *kept[:10], *more]), data)
    return data


def check_equivalence(run: ModelRun) -> dict[str, Any]:
    """The reduced model's outputs are the original's, in a comparison that could have failed."""
    comparison = run.comparison()
    error = comparison.error_vs_float64
    keys = ("max_abs", "mean_abs", "scale", "spread", "rtol", "atol", "required_rtol")
    departure, suggestion, advice = comparison.departure, comparison.suggestion, comparison.advice
    message = comparison.message()
    if comparison.insensitive and suggestion is None:
        suggestion, advice = more_varied(run.spec, run.original())
        message += f"\n{advice}" if suggestion is None else f"\n{advice}:\n    {suggestion}"
    data = {
        "passed": comparison.passed,
        "insensitive": comparison.insensitive,
        "within_rounding": comparison.within_rounding,
        "samples": comparison.samples,
        "error_vs_float64": None if error is None else list(error),
        "float64_device": comparison.float64_device,
        "first_departure": None if departure is None else asdict(departure),
        "suggestion": suggestion,
        "advice": advice,
        "outputs": {
            name: {key: getattr(output, key) for key in keys}
            for name, output in comparison.outputs.items()
        },
    }
    if not comparison.passed:
        raise CheckFailed(message, data)
    return data


def check_speedup(run: ModelRun, batch_size: int, device: Device, seed: int = 0) -> dict[str, Any]:
    """The reduced model is faster by the declared minimum, on the device declared for it."""
    from kito.timing import measure_speedup

    spec = run.spec.speedup
    assert spec is not None
    minimum = spec.devices.get(device.name, spec.minimum)
    if spec.device not in ("any", device.kind):
        reason = (
            f"declared for device: {spec.device}; this run is on the {device.kind} '{device.name}'"
        )
        raise CheckSkipped(reason, _skipped(batch_size, minimum, reason))
    if not run.comparison().passed:
        raise CheckFailed("not timed: equivalence did not pass")
    estimate = measure_speedup(
        run.original(),
        run.reduction().model,
        run.inputs(),
        batch_size=batch_size,
        minimum=minimum,
        confidence=spec.confidence,
        budget_s=spec.budget_s,
        seed=seed,
        device=device,
    )
    data = {
        "batch_size": batch_size,
        "ratio": estimate.ratio,
        "low": estimate.low,
        "high": estimate.high,
        "noise_floor": estimate.noise_floor,
        "minimum": minimum,
        "verdict": estimate.verdict,
        "original_ms": list(estimate.original_ms),
        "reduced_ms": list(estimate.reduced_ms),
        "pairs": estimate.pairs,
        "skipped": None,
    }
    _judge(estimate, spec, data)
    return data


def _judge(estimate: SpeedupEstimate, spec: SpeedupSpec, data: dict[str, Any]) -> None:
    measured = (
        f"{estimate.ratio:.3f}x as fast, {estimate.confidence:.0%} interval "
        f"[{estimate.low:.3f}, {estimate.high:.3f}], noise floor {estimate.noise_floor:.3f}, "
        f"{estimate.pairs} pairs at batch {estimate.batch_size} on '{estimate.device.name}'"
    )
    if estimate.verdict == "fail":
        raise CheckFailed(f"below the minimum {data['minimum']}: {measured}", data)
    if estimate.verdict == "inconclusive" and spec.on_inconclusive == "fail":
        few = estimate.pairs < 20
        why = "there was no time for enough pairs" if few else "this machine is too noisy"
        raise CheckFailed(
            f"inconclusive within {spec.budget_s:g} s: {why} to tell whether the minimum "
            f"{data['minimum']} is reached, which does not mean that the model is too slow: "
            f"{measured}. Raise budget_s, use a quieter machine, or set on_inconclusive: warn",
            data,
        )


def _skipped(batch_size: int, minimum: float | None, reason: str) -> dict[str, Any]:
    figures = ("ratio", "low", "high", "noise_floor", "verdict", "original_ms", "reduced_ms")
    empty: dict[str, Any] = dict.fromkeys(figures)
    return {
        "batch_size": batch_size,
        **empty,
        "minimum": minimum,
        "pairs": 0,
        "skipped": reason,
    }


def check_artifact(
    run: ModelRun, artifact_format: str, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The reduced model, written into ``folder`` and read back, still gives the same outputs.

    Returns:
        The file, and its section of the report.
    """
    from kito.artifacts import FORMATS, write_artifact

    if artifact_format not in FORMATS:
        raise CheckSkipped(f"this version writes no {artifact_format}, only: {', '.join(FORMATS)}")
    if not run.comparison().passed:
        raise CheckFailed("not written: equivalence did not pass")
    tolerance = run.spec.tolerance
    written = write_artifact(
        run.reduction().model,
        run.original(),
        run.inputs(),
        folder,
        run.spec.name,
        artifact_format,
        custom_objects=run.custom_objects(),
        rtol=tolerance.rtol,
        atol=tolerance.atol,
        outputs={name: (x.rtol, x.atol) for name, x in tolerance.outputs.items()},
        reference=run.spec.equivalence.reference,
    )
    data = {
        "format": written.format,
        "file": written.file,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "max_abs": written.max_abs,
    }
    return folder / written.file, data
