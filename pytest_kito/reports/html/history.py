"""The past of each model: figures of earlier JSON reports, found in a folder.

Only figures that mean the same on every machine are kept: the structure, differences as a part of
what is allowed, and ratios. Times are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kito.errors import KitoError, shown
from pytest_kito.reports.html import words
from pytest_kito.reports.html.lines import Line, Value, line
from pytest_kito.reports.html.plots import is_measured
from pytest_kito.reports.read import ModelPart, OriginPart, ReportFile, read_typed_report

MOST_FILES = 1000
"""Files that are read, the newest by name."""
MOST_RUNS = 30
"""Runs of a model that are shown, the latest."""
_MOST_TIMINGS = 4


@dataclass(frozen=True)
class Run:
    """A model in one run of the gate."""

    created: str
    origin: OriginPart | None
    model: ModelPart


@dataclass(frozen=True)
class History:
    """The runs of each model in the order of time, and what could not be read.

    Attributes:
        runs: by the name of a model, its runs, the oldest first.
        warnings: a line for each file that was skipped: which, and why.
    """

    runs: dict[str, list[Run]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_history(folder: Path | None) -> History:
    """Read the reports of a folder and of the folders in it; None for no history.

    A file that cannot be read, or is no report, is skipped with a warning.

    Raises:
        KitoError: the folder is not there, or cannot be listed.
    """
    if folder is None:
        return History()
    if not folder.is_dir():
        raise KitoError(f"there is no folder {folder} with reports of past runs")
    try:
        files = sorted(x for x in folder.rglob("*.json") if x.is_file())
    except OSError as error:
        raise KitoError(f"{folder} cannot be read: {error.strerror or error}") from error
    warnings, reports = [], []
    if len(files) > MOST_FILES:
        left_out = len(files) - MOST_FILES
        warnings.append(f"{folder} holds {len(files)} files: the first {left_out} are skipped")
    for path in files[-MOST_FILES:]:
        try:
            reports.append(read_typed_report(path))
        except KitoError as error:
            warnings.append(shown(error, 500))
    runs: dict[str, list[Run]] = {}
    for report in sorted(reports, key=lambda x: _time(x.created)):
        for model in report.models:
            runs.setdefault(model.name, []).append(Run(report.created, report.origin, model))
    return History(runs, tuple(warnings))


def _time(created: str) -> datetime:
    """When a report was written; a text that is no time comes first."""
    try:
        found = datetime.fromisoformat(created)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A run as a row of the history's table."""

    when: str
    commit: str
    modified: bool
    outcome: str
    layers: str
    parameters: str
    share: str
    ratios: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class Past:
    """The history of one model as the page shows it.

    Attributes:
        lines: a line for each figure that changed.
        rows: the runs, the latest first.
        timings: the headings of the ratios.
        devices: whether the ratios are of different machines.
        left_out: how many earlier runs are not shown.
    """

    lines: tuple[Line, ...]
    rows: tuple[Row, ...]
    timings: tuple[str, ...]
    devices: bool
    left_out: int


def past(history: History, report: ReportFile, model: ModelPart) -> Past | None:
    """The history of a model that ends with this report; None where there is no earlier run."""
    now = _time(report.created)
    # This very report may lie in the folder already, and so may later ones.
    earlier = [x for x in history.runs.get(model.name, ()) if _time(x.created) < now]
    if not earlier:
        return None
    every = [*earlier, Run(report.created, report.origin, model)]
    runs = every[-MOST_RUNS:]
    checks = _timings(runs)
    devices = {x.device_name for run in runs for x in run.model.speedup if x.ratio is not None}
    return Past(
        lines=tuple(_lines(runs, checks)),
        rows=tuple(_row(run, checks) for run in reversed(runs)),
        timings=tuple(checks.values()),
        devices=len(devices) > 1,
        left_out=len(every) - len(runs),
    )


def _timings(runs: Sequence[Run]) -> dict[str, str]:
    """By the name of its check, what a ratio was measured of, the latest run's first."""
    found: dict[str, str] = {}
    for run in reversed(runs):
        for x in run.model.speedup:
            if is_measured(x):
                found.setdefault(x.check, words.timing(x))
    return dict(list(found.items())[:_MOST_TIMINGS])


def _lines(runs: Sequence[Run], checks: dict[str, str]) -> Iterable[Line]:
    reductions = [run.model.reduction for run in runs]
    shares = [run.model.share for run in runs]
    figures: list[tuple[str, list[Value | None], list[str], float | None]] = [
        (
            "Layers",
            [None if x is None else (x.layers[1], None, None) for x in reductions],
            ["" if x is None else f"{x.layers[1]:,}" for x in reductions],
            None,
        ),
        (
            "Parameters",
            [None if x is None else (x.parameters[1], None, None) for x in reductions],
            ["" if x is None else words.short(x.parameters[1]) for x in reductions],
            None,
        ),
        (
            "Difference / tolerance",
            [None if x is None else (x, None, None) for x in shares],
            [words.percent(x) for x in shares],
            1.0,
        ),
    ]
    for check, label in checks.items():
        found = [_speedup(run, check) for run in runs]
        texts = ["" if x is None else words.ratio(x[0]) for x in found]
        figures.append((f"Speed-up, {label}", found, texts, None))
    for title, values, texts, limit in figures:
        drawn = line(title, values, texts, limit)
        if drawn is not None:
            yield drawn


def _speedup(run: Run, check: str) -> Value | None:
    for x in run.model.speedup:
        if x.check == check and is_measured(x):
            assert x.ratio is not None
            return x.ratio, x.low, x.high
    return None


def _row(run: Run, checks: dict[str, str]) -> Row:
    reduction, origin = run.model.reduction, run.origin or OriginPart()
    ratios = (_speedup(run, check) for check in checks)
    devices = dict.fromkeys(x.device_name for x in run.model.speedup if x.device_name)
    return Row(
        when=words.moment(run.created),
        commit=origin.commit[:9],
        modified=bool(origin.modified),
        outcome=run.model.outcome,
        layers="" if reduction is None else f"{reduction.layers[1]:,}",
        parameters="" if reduction is None else f"{reduction.parameters[1]:,}",
        share=words.percent(run.model.share),
        ratios=tuple("" if x is None else words.ratio(x[0]) for x in ratios),
        device=", ".join(devices),
    )
