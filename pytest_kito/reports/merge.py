"""The JSON reports of shards -> one report, the same as that of a session without shards."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kito.errors import KitoError


def merge_reports(paths: Sequence[Path]) -> dict[str, Any]:
    """Join reports, whatever their order: models in the order of kito.yaml, seconds summed.

    It passed if every model did and no session was interrupted; a shard without models has no say.
    The version is the first report's, the environment the first that there is: a shard in which no
    model could be built has none. Where the environments differ, a figure belongs to the machine of
    its own shard, so ``environments`` lists them all.

    Args:
        paths: JSON reports of this version's schema, of different models.

    Raises:
        KitoError: a file is no such report, or a model is in two of them.
    """
    reports = [read_report(path) for path in paths]
    if not reports:
        raise KitoError("no reports to merge; name at least one")
    where: dict[str, Path] = {}
    for path, report in zip(paths, reports, strict=True):
        for model in report["models"]:
            if model["name"] in where:
                raise KitoError(
                    f"model '{model['name']}' is in {where[model['name']]} and in {path}: merge "
                    "reports of different shards"
                )
            where[model["name"]] = path
    reports.sort(key=_first_line)
    models = sorted((x for report in reports for x in report["models"]), key=_line)
    merged = {
        **reports[0],
        "created": max(report["created"] for report in reports),
        "passed": bool(models) and all(_agrees(report) for report in reports),
        "models": models,
    }
    if any("interrupted" in report for report in reports):
        merged["interrupted"] = any(report.get("interrupted") for report in reports)
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds.update(report.get("seconds") or {})
    if seconds:
        merged["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
    environments = [x["environment"] for x in reports if x["environment"] is not None]
    merged["environment"] = next(iter(environments), None)
    if any(environment != environments[0] for environment in environments):
        merged["environments"] = environments
    return merged


def read_report(path: Path) -> dict[str, Any]:
    """A JSON report.

    Raises:
        KitoError: it cannot be read, or is no report of this version's schema.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        version = report["schema_version"]
        kinds = {"created": str, "environment": dict | None, "passed": bool, "models": list}
        complete = all(isinstance(report[key], kind) for key, kind in kinds.items())
        named = complete and all(isinstance(model["name"], str) for model in report["models"])
        sound = named and all(map(_seconds_are_numbers, [report, *report["models"]]))
    except FileNotFoundError:
        raise KitoError(f"there is no file {path}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KitoError(f"{path} is no report of pytest --kito-report: {error}") from error
    if version != 1 or not sound:
        raise KitoError(f"{path} is no report of schema_version 1")
    return dict(report)


def _agrees(report: dict[str, Any]) -> bool:
    """Whether nothing in it speaks against having passed."""
    return bool(report["passed"] or (not report["models"] and not report.get("interrupted")))


def _line(model: dict[str, Any]) -> int:
    """Where the model is declared; 0, so that the given order stays, where it does not tell."""
    line = model.get("line", 0)
    return line if isinstance(line, int) else 0


def _first_line(report: dict[str, Any]) -> tuple[bool, int]:
    """Reports without models last, the others by their first model."""
    return not report["models"], min(map(_line, report["models"]), default=0)


def _seconds_are_numbers(part: dict[str, Any]) -> bool:
    seconds = part.get("seconds") or {}
    return all(type(value) in (int, float) and 0 <= value < math.inf for value in seconds.values())
