"""The changes of one model from one JSON report to another, and which of them are for the worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kito.export.formats.names import FORMAT_NAMES
from pytest_kito.reports.read import ModelPart, SpeedupPart

OTHER_MACHINE = "measured on another machine: not compared"
NOT_REPRODUCIBLE = "the bytes of this format differ from run to run"


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        model: the name of the model.
        kind: ``model``, ``check``, ``structure``, ``kept``, ``difference``, ``metric``,
            ``artifact`` or ``speed-up``.
        what: what of this kind: a check, a figure of the structure, a layer, an output, a file.
        before: plain data from the first report; None where it is not there.
        after: the same from the second report.
        worse: whether it got worse.
        note: what a reader must know about it; mostly empty.
    """

    model: str
    kind: str
    what: str
    before: Any
    after: Any
    worse: bool = False
    note: str = ""


def model_changes(before: ModelPart, after: ModelPart, not_compared: str) -> Iterator[Change]:
    """What changed in one model.

    Args:
        before: the model in the first report.
        after: the model of the same name in the second report.
        not_compared: why times of the two say nothing about each other; empty where they do.
    """
    checks = list(_check_changes(before, after, not_compared))
    yield from checks
    worse = {change.what for change in checks if change.worse}
    if before.passed and not after.passed and not after.checks and not worse:
        # A report without the list of its checks.
        yield Change(after.name, "model", "", "passed", after.outcome, worse=True)
    yield from _structure_changes(before, after)
    yield from _output_changes(before, after)
    yield from _metric_changes(before, after, worse)
    yield from _artifact_changes(before, after)
    yield from _speedup_changes(before, after, not_compared)


def _check_changes(before: ModelPart, after: ModelPart, not_compared: str) -> Iterator[Change]:
    first, second = _outcomes(before), _outcomes(after)
    passed = {x.check for x in before.checks if x.outcome == "passed"}
    passes = {x.check for x in after.checks if x.outcome == "passed"}
    timings = [{x.check: x for x in model.speedup} for model in (before, after)]
    for check, was, now in _pairs(first, second):
        if was != now:
            note = ""
            # Elsewhere a speed-up may fail, or be skipped; it must still be declared, and be run.
            if check.startswith("speedup[") and now not in (None, "not run"):
                note = not_compared or _other_device(*(x.get(check) for x in timings))
            worse = check in passed and check not in passes and not note
            yield Change(after.name, "check", check, was, now, worse, note)


def _outcomes(model: ModelPart) -> dict[str, str]:
    """By check, its outcome, with ``, inconclusive`` for a timing that was; or ``not run``."""
    inconclusive = {x.check for x in model.speedup if x.verdict == "inconclusive"}
    found = {
        x.check: f"{x.outcome}{', inconclusive' if x.check in inconclusive else ''}"
        for x in model.checks
    }
    return {**found, **{name: "not run" for name in model.not_run if name not in found}}


def _structure_changes(before: ModelPart, after: ModelPart) -> Iterator[Change]:
    first, second = before.reduction, after.reduction
    if first is None or second is None:
        return  # its check says so
    for key in ("layers", "parameters", "batchnorms", "precomputed"):
        was, now = getattr(first, key), getattr(second, key)
        if was != now:
            yield Change(after.name, "structure", key, was, now)
    kept = [{x.layer: x.reason for x in part.kept} for part in (first, second)]
    for layer, reason, other in _pairs(*kept):
        if reason != other:
            yield Change(after.name, "kept", layer, reason, other)


def _output_changes(before: ModelPart, after: ModelPart) -> Iterator[Change]:
    first, second = before.equivalence, after.equivalence
    if first is None or second is None:
        return  # its check says so
    keys = ("max_abs", "required_rtol")
    for name, was, now in _pairs(first.outputs, second.outputs):
        first_figures, figures = _figures(was, keys), _figures(now, keys)
        if _rounded(first_figures) != _rounded(figures):
            yield Change(after.name, "difference", name, first_figures, figures)


def _rounded(figures: Mapping[str, float | None] | None) -> list[str] | None:
    """As people read them: more digits differ from run to run and mean nothing."""
    return None if figures is None else [number(value) for value in figures.values()]


def number(value: float | None) -> str:
    """A difference with two digits; ``unknown`` where the report has null."""
    return "unknown" if value is None else f"{value:.1e}"


def _metric_changes(before: ModelPart, after: ModelPart, worse: set[str]) -> Iterator[Change]:
    first, second = ({x.check: x for x in model.metrics} for model in (before, after))
    keys = ("original", "value", "passed", "skipped")
    for check, was, now in _pairs(first, second):
        values, new_values = _figures(was, keys), _figures(now, keys)
        out = now is not None and now.passed is False
        newly = out and (was is None or was.passed is not False) and check not in worse
        if values != new_values:
            yield Change(after.name, "metric", check, values, new_values, newly)


def _artifact_changes(before: ModelPart, after: ModelPart) -> Iterator[Change]:
    first, second = ({x.file: x for x in model.artifacts} for model in (before, after))
    keys = ("bytes", "sha256")
    for file, was, now in _pairs(first, second):
        kind = FORMAT_NAMES.get(now.format) if now is not None else None
        note = NOT_REPRODUCIBLE if was and kind and not kind.deterministic else ""
        facts, new_facts = _figures(was, keys), _figures(now, keys)
        if facts != new_facts:
            yield Change(after.name, "artifact", file, facts, new_facts, now is None, note)


def _speedup_changes(before: ModelPart, after: ModelPart, not_compared: str) -> Iterator[Change]:
    first, second = (
        {x.check: x for x in model.speedup if x.ratio is not None} for model in (before, after)
    )
    keys = ("ratio", "low", "high")
    for check, was, now in _pairs(first, second):
        figures, new_figures = _figures(was, keys), _figures(now, keys)
        if figures != new_figures:
            note = not_compared or _other_device(was, now) if was and now else ""
            yield Change(after.name, "speed-up", check, figures, new_figures, note=note)


def _other_device(was: SpeedupPart | None, now: SpeedupPart | None) -> str:
    """Engines may have run on another device than the session did."""
    names = {x.device_name for x in (was, now) if x is not None}
    return OTHER_MACHINE if len(names) > 1 else ""


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """By key of either mapping: the key, the value of each, None where it has none."""
    return ((key, first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second]))


def _figures(part: Any, keys: Sequence[str]) -> dict[str, Any] | None:
    return None if part is None else {key: getattr(part, key) for key in keys}
