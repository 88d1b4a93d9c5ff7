"""Merges the JSON reports of shards into one, as a session without shards would write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kito.errors import KitoError, shown
from kito.export.origin import common
from pytest_kito.config.names import is_safe_name
from pytest_kito.reports.read import read_report


def merge_reports(
    paths: Sequence[Path], expected: Sequence[str] = (), *, whole: bool = False
) -> dict[str, Any]:
    """Join reports in any order: models in the order of kito.yaml, seconds summed.

    The merged report passed if every model passed, no session was interrupted and no expected model
    is missing; a shard without models does not count. The version is that of the first report, the
    origin what all agree on. The environment is the first that is not null: a shard that could not
    build any model has none. If the environments differ, each figure belongs to the machine of its
    shard, and ``environments`` lists all of them.

    Args:
        paths: JSON reports of schema version 1, of different models.
        expected: names of models that must have been checked. ``missing`` lists those of which no
            check passed or failed.
        whole: whether ``missing`` also lists those of which a declared check was not run.

    Raises:
        KitoError: a file is not such a report, or a model is in two of them.
    """
    reports = [read_report(path) for path in paths]
    if not reports:
        raise KitoError("no reports to merge; name at least one")
    path_of: dict[str, Path] = {}
    for path, report in zip(paths, reports, strict=True):
        for model in report["models"]:
            if model["name"] in path_of:
                raise KitoError(
                    f"model '{shown(model['name'])}' is in {path_of[model['name']]} and in {path}: "
                    "merge reports of different shards"
                )
            path_of[model["name"]] = path
    reports.sort(key=_first_line)
    models = sorted((model for report in reports for model in report["models"]), key=_line)
    merged = {
        **reports[0],
        "created": max(report["created"] for report in reports),
        "passed": bool(models) and all(_lets_pass(report) for report in reports),
        "models": models,
    }
    # Merging again must not forget what an earlier merge missed.
    checked = {
        model["name"]
        for report in reports
        for model in report["models"]
        if _was_checked(model, whole) and model["name"] not in _missing(report)
    }
    merged.pop("missing", None)
    wanted = [*expected, *(name for report in reports for name in _missing(report))]
    if missing := [name for name in dict.fromkeys(wanted) if name not in checked]:
        merged.update(missing=missing, passed=False)
    if any("interrupted" in report for report in reports):
        merged["interrupted"] = any(report.get("interrupted") for report in reports)
    if any("origin" in report for report in reports):
        merged["origin"] = common(reports) or None
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds.update(report.get("seconds") or {})
    if seconds:
        merged["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
    all_environments = (report["environment"] for report in reports)
    environments = [environment for environment in all_environments if environment is not None]
    merged["environment"] = next(iter(environments), None)
    if any(environment != environments[0] for environment in environments):
        merged["environments"] = environments
    return merged


def _lets_pass(report: dict[str, Any]) -> bool:
    """Whether the merged report can pass in spite of this one: it passed, or checked no model."""
    return bool(report["passed"] or (not report["models"] and not report.get("interrupted")))


def _was_checked(model: dict[str, Any], whole: bool) -> bool:
    """Whether a check of the model passed or failed; one that was skipped tells nothing."""
    if whole and model.get("not_run"):
        return False
    checks = model.get("checks")
    found = checks if isinstance(checks, list) else []
    return any(isinstance(x, dict) and x.get("outcome") in ("passed", "failed") for x in found)


def _missing(report: dict[str, Any]) -> list[str]:
    """The models that an earlier merge missed. What cannot be a name, no model has."""
    missing = report.get("missing")
    names = missing if isinstance(missing, list) else []
    return [x for x in names if isinstance(x, str) and is_safe_name(x)]


def _line(model: dict[str, Any]) -> int:
    """The line of the model in kito.yaml; 0 if unknown, so that such models keep their order."""
    line = model.get("line", 0)
    return line if isinstance(line, int) else 0


def _first_line(report: dict[str, Any]) -> tuple[bool, int]:
    """The sort key of a report: by its first model, and last without models."""
    return not report["models"], min(map(_line, report["models"]), default=0)
