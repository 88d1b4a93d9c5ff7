"""The JSON reports of shards -> one report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kito.errors import KitoError


def merge_reports(paths: Sequence[Path]) -> dict[str, Any]:
    """Join reports: their models in the order given, passed if all of them did.

    The version is the first report's, the environment the first that there is: a shard in which no
    model could be built has none. Where the environments differ, a figure belongs to the machine of
    its own shard, so ``environments`` lists them all.

    Args:
        paths: JSON reports of this version's schema, of different models.

    Raises:
        KitoError: a file is no such report, or a model is in two of them.
    """
    reports = [_read(path) for path in paths]
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
    merged = {
        **reports[0],
        "created": max(report["created"] for report in reports),
        "passed": all(report["passed"] for report in reports),
        "models": [model for report in reports for model in report["models"]],
    }
    environments = [report["environment"] for report in reports]
    merged["environment"] = next((x for x in environments if x is not None), None)
    if any(environment != environments[0] for environment in environments):
        merged["environments"] = environments
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        version = report["schema_version"]
        kinds = {"created": str, "environment": dict | None, "passed": bool, "models": list}
        complete = all(isinstance(report[key], kind) for key, kind in kinds.items())
        named = complete and all(isinstance(model["name"], str) for model in report["models"])
    except FileNotFoundError:
        raise KitoError(f"there is no file {path}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KitoError(f"{path} is no report of pytest --kito-report: {error}") from error
    if version != 1 or not named:
        raise KitoError(f"{path} is no report of schema_version 1")
    return dict(report)
