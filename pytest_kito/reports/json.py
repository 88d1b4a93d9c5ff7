"""The JSON report, ``schema_version`` 1; its schema ships as ``report.schema.json``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kito.export.files import to_json, write_text
from pytest_kito.reports.results import ModelResult, Results


def report(results: Results) -> dict[str, Any]:
    """The report of the results as plain data."""
    return {
        "schema_version": 1,
        "kito_version": version("pytest-kito"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": results.config,
        "origin": results.origin,
        "environment": results.environment,
        "passed": results.passed,
        "interrupted": results.interrupted,
        "seconds": _rounded(results.seconds),
        "models": [_model(model) for model in results.reported],
    }


def write_report(results: Results, path: Path) -> None:
    """Write the report to ``path`` atomically; missing folders are created.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, to_json(report(results)))


def _model(model: ModelResult) -> dict[str, Any]:
    def all_data(section: str) -> list[dict[str, Any]]:
        return [x.data for x in model.of(section) if x.data is not None]

    return {
        "name": model.name,
        "source": model.declared.source,
        "framework": model.declared.framework,
        "line": model.declared.line,
        "passed": model.passed,
        "seconds": _rounded(model.seconds),
        "reduction": model.data("reduction"),
        "equivalence": model.data("equivalence"),
        "speedup": all_data("speedup"),
        "metrics": all_data("metric"),
        "artifacts": all_data("artifact"),
        "checks": [
            {"check": x.check, "outcome": x.outcome, "message": x.message} for x in model.findings
        ],
        "not_run": model.not_run,
        **({} if model.network is None else {"network": model.network}),
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}
