"""The checks ``reduction``, ``equivalence`` and ``artifact[FORMAT]``.

Each returns its section of the JSON report, or raises ``CheckFailed`` with that section. The checks
``speedup[BATCH]`` and ``speedup[ENGINE-BATCH]`` are in :mod:`pytest_kito.checks.speedup` and
:mod:`pytest_kito.checks.engine_speedup`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.outcome import CheckFailed
from pytest_kito.checks.suggestions import more_varied


def check_reduction(run: ModelRun) -> dict[str, Any]:
    """Check that the model can be reduced, by as much as was declared.

    Raises:
        CheckFailed: fewer BatchNormalization were folded than declared, or more are left.
        KitoError: the model cannot be built or reduced.
    """
    reduction, spec = run.reduction(), run.spec.reduction
    data: dict[str, Any] = reduction.to_dict()
    # A BatchNormalization that became a Rescaling was not folded.
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


def describe_network(run: ModelRun) -> dict[str, Any] | None:
    """The network before and after the reduction, as plain data for a report that draws it.

    Returns:
        None where it cannot be described: a report without a drawing is no failed check.

    Raises:
        KitoError: the model cannot be built or reduced.
    """
    from kito.drawing.network import describe

    reduction = run.reduction()
    try:
        return describe(reduction)
    except Exception:  # a live layer of the user's may raise anything
        return None


def check_equivalence(run: ModelRun) -> dict[str, Any]:
    """Check that the reduced model has the original's outputs, and that a difference would show.

    Raises:
        CheckFailed: the outputs differ, or they vary too little for a difference to show.
        KitoError: the model cannot be built, reduced or compared.
    """
    comparison = run.comparison()
    data, message = comparison.to_dict(), comparison.message()
    if comparison.insensitive and comparison.suggestion is None:
        suggestion, advice = more_varied(run.spec, run.original())
        data |= {"suggestion": suggestion, "advice": advice}
        message += f"\n{advice}" if suggestion is None else f"\n{advice}:\n    {suggestion}"
    if not comparison.passed:
        raise CheckFailed(message, data)
    return data


def check_artifact(
    run: ModelRun, artifact_format: str, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Write the reduced model into ``folder``, and check that the file gives the same outputs.

    Returns:
        The file, and its section of the JSON report.

    Raises:
        CheckFailed: the model did not pass ``equivalence``; nothing is written.
        KitoError: the model cannot be written or loaded again, or the file gives other outputs.
    """
    from kito.export.artifact import write_artifact

    if not run.comparison().passed:
        raise CheckFailed("not written: equivalence did not pass")
    reduced = run.reduced()
    run.artifacts[artifact_format] = None
    written = write_artifact(reduced, run.baseline(), folder, run.spec.name, artifact_format)
    path = run.artifacts[artifact_format] = folder / written.file
    return path, written.to_dict()
