"""The checks of a declared model. Each returns its figures, or raises with what went wrong.

The figures are the sections of the JSON report. The check of the speed-up is in
:mod:`pytest_kito.checks.speedup`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.outcome import CheckFailed
from pytest_kito.checks.suggestions import more_varied


def check_reduction(run: ModelRun) -> dict[str, Any]:
    """The model can be reduced, and as much as was declared."""
    reduction, spec = run.reduction(), run.spec.reduction
    data = reduction.to_dict()
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


def check_artifact(
    run: ModelRun, artifact_format: str, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The reduced model, written into ``folder`` and read back, still gives the same outputs.

    Returns:
        The file, and its section of the report.
    """
    from kito.export.artifact import write_artifact

    if not run.comparison().passed:
        raise CheckFailed("not written: equivalence did not pass")
    written = write_artifact(
        run.reduction().model,
        run.original(),
        run.inputs(),
        folder,
        run.spec.name,
        artifact_format,
        custom_objects=run.custom_objects(),
        **run.tolerances(),
    )
    return folder / written.file, asdict(written)
