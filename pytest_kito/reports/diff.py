"""What changed between two JSON reports of the gate, and what of it got worse.

Figures are shown, verdicts are judged: a check that passed and does not any more, a model or an
artifact that is gone, and a metric out of its bounds are worse. A larger difference that is still
allowed, or a smaller speed-up that still passes, is a change. Speed-ups of two machines are not
compared, and neither are the verdicts on them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kito.errors import KitoError, shown
from pytest_kito.reports.changes import OTHER_MACHINE, Change, model_changes
from pytest_kito.reports.read import ModelPart, ReportFile, read_typed_report

OTHER_ENVIRONMENT = "measured in another environment: not compared"
UNKNOWN_MACHINE = "measured on a machine that is not known: not compared"
_MACHINE = ("device", "device_name", "cpu")


@dataclass(frozen=True)
class Diff:
    """The changes between two reports.

    Attributes:
        before: the first report: ``file``, ``created``, ``kito_version``, ``environments``.
        after: the second report.
        environment: by key of the environment, the two values where they differ.
        not_compared: why no speed-up is compared; empty where they are.
        changes: the changes, in the order of the first report's models, then new models.
        unchanged: the names of the models of which at most the speed-ups differ.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    environment: dict[str, tuple[Any, Any]]
    not_compared: str
    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        """The changes for the worse."""
        return [change for change in self.changes if change.worse]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {"passed": not self.worse, **asdict(self)}


def diff_reports(before: Path, after: Path) -> Diff:
    """Compare two JSON reports of ``pytest --kito-report`` or ``kito merge``.

    Raises:
        KitoError: a file is not such a report, or holds two models of one name.
    """
    reports = read_typed_report(before), read_typed_report(after)
    first, second = (_models(x, path) for x, path in zip(reports, (before, after), strict=True))
    reason = _not_compared(*reports)
    changes: list[Change] = []
    unchanged = []
    for name, model in first.items():
        if name not in second:
            changes.append(Change(name, "model", "", model.outcome, None, worse=True))
            continue
        found = list(model_changes(model, second[name], reason))
        changes += found
        if all(change.kind == "speed-up" for change in found):
            unchanged.append(name)
    changes += [
        Change(name, "model", "", None, model.outcome)
        for name, model in second.items()
        if name not in first
    ]
    return Diff(
        _facts(reports[0], before),
        _facts(reports[1], after),
        _environment_changes(*reports),
        reason,
        tuple(changes),
        tuple(unchanged),
    )


def _models(report: ReportFile, path: Path) -> dict[str, ModelPart]:
    models: dict[str, ModelPart] = {}
    for model in report.models:
        if model.name in models:
            raise KitoError(
                f"model '{shown(model.name)}' is in {path} twice; compare reports of whole runs"
            )
        models[model.name] = model
    return models


def _facts(report: ReportFile, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "created": report.created,
        "kito_version": report.kito_version,
        "passed": report.passed,
        "interrupted": report.interrupted,
        "environments": _environments(report),
    }


# ---- where it ran -------------------------------------------------------------------------------


def _environments(report: ReportFile) -> list[dict[str, Any]]:
    """The different environments of a report, which are several in a merged one."""
    listed = report.environments or [report.environment]
    return list({json.dumps(x, sort_keys=True): x for x in listed if x is not None}.values())


def _environment_changes(before: ReportFile, after: ReportFile) -> dict[str, tuple[Any, Any]]:
    first, second = before.environment or {}, after.environment or {}
    keys = dict.fromkeys([*first, *second])
    return {
        key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)
    }


def _not_compared(before: ReportFile, after: ReportFile) -> str:
    """Why times of the two reports say nothing about each other; empty where they do."""
    first, second = _environments(before), _environments(after)
    if len(first) != 1 or len(second) != 1:
        return UNKNOWN_MACHINE
    changed = _environment_changes(before, after)
    if any(key in changed for key in _MACHINE):
        return OTHER_MACHINE
    return OTHER_ENVIRONMENT if changed else ""
