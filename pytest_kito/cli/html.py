"""The option ``--html`` of commands of ``kito``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kito.errors import KitoError, printable

if TYPE_CHECKING:
    from kito.timing.result import SpeedupEstimate
    from pytest_kito.reports.html.history import History


def write_html(report: Mapping[str, Any], path: Path, past: History | None = None) -> None:
    """Write a report as HTML, and warn of what was skipped in the history.

    Raises:
        KitoError: it cannot be written.
    """
    from pytest_kito.reports.html.page import write_page

    for line in () if past is None else past.warnings:
        typer.echo(printable(f"kito: skipped in the history: {line}"), err=True)
    try:
        write_page(report, path, past)
    except OSError as error:
        raise KitoError(f"{path} cannot be written: {error.strerror or error}") from error


def measured(name: str, source: str, estimate: SpeedupEstimate) -> dict[str, Any]:
    """A report of one speed-up, in the form of the JSON report.

    Args:
        name: what was measured.
        source: where the original comes from.
        estimate: the figures.
    """
    from kito.runtime.devices import environment

    passed = estimate.verdict in (None, "pass")
    engine = "" if estimate.engine == "keras" else f"{estimate.engine}-"
    check = {
        "check": f"speedup[{engine}{estimate.batch_size}]",
        "outcome": "passed" if passed else "failed",
        "message": "" if passed else estimate.explanation,
    }
    model = {
        "name": name,
        "source": source,
        "passed": passed,
        "speedup": [estimate.to_dict()],
        "checks": [check],
    }
    return {
        "schema_version": 1,
        "kito_version": version("pytest-kito"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(estimate.device),
        "passed": passed,
        "models": [model],
    }
