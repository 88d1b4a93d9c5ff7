"""The table of a JSON report in Markdown, for release notes and the summary of a CI run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kito.errors import counted, shown
from pytest_kito.reports.metrics import metric_lines

_COLUMNS = "model", "layers", "norms", "parameters", "difference / scale", "speed-up", "result"
_NAMED = 5
"""How many models that were not checked the first line names."""
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|~#@:"})
_LONGEST = 300
"""The most characters of a cell."""


def summary(report: Mapping[str, Any]) -> str:
    """The verdict, a table with a row per model, the metrics, and the machines.

    Args:
        report: a report of ``pytest --kito-report`` or ``kito merge``.

    Raises:
        KeyError: a key of such a report is missing.
    """
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    models = report["models"]
    yield f"### kito: {_verdict(report)}\n"
    yield f"| {' | '.join(_COLUMNS)} |"
    yield f"| --- |{' ---: |' * (len(_COLUMNS) - 2)} --- |"
    for model in models:
        yield f"| {' | '.join(_cells(model))} |"
    lines = [
        f"- {escaped(model['name'])}: {escaped(line)}"
        for model in models
        for line in metric_lines(model.get("metrics") or ())
    ]
    if lines:
        yield "\n" + "\n".join(lines)
    environments = report.get("environments") or [report["environment"]]
    machines = dict.fromkeys(_machine(x) for x in environments if x is not None)
    if machines:
        yield f"\nOn {'; '.join(machines)}."


def _verdict(report: Mapping[str, Any]) -> str:
    if report["passed"]:
        return "passed"
    models, missing = report["models"], report.get("missing", ())
    failed = sum(not model["passed"] for model in models)
    reasons = [f"{failed} of {counted(len(models), 'model')} did not pass"] if failed else []
    if missing:
        shown = ", ".join(map(escaped, missing[:_NAMED]))
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        reasons.append(f"not checked: {shown}{more}")
    if report.get("interrupted"):
        reasons.append("a session ended early")
    return "; ".join(reasons) or "no model was checked"


def _machine(environment: Mapping[str, Any]) -> str:
    keys = ("device_name", "device", "keras", "backend", "backend_version")
    name, device, keras, backend, version = (escaped(str(environment[key])) for key in keys)
    return f"{name} ({device}), Keras {keras}, {backend} {version}"


def _cells(model: Mapping[str, Any]) -> Iterator[str]:
    yield escaped(model["name"])
    yield from _reduction(model["reduction"])
    outputs = model["equivalence"]["outputs"].values() if model["equivalence"] else ()
    relative = [x["max_abs"] / x["scale"] for x in outputs if x["max_abs"] and x["scale"]]
    yield f"{max(relative, default=0.0):.1e}" if outputs else ""
    yield "<br>".join(
        f"{x['ratio']:.2f}x [{x['low']:.2f}, {x['high']:.2f}] at {x['batch_size']}{_engine(x)}"
        for x in model["speedup"]
        if x["ratio"] is not None and x["low"] is not None and x["high"] is not None
    )
    failed = [x["check"] for x in model["checks"] if x["outcome"] == "failed"]
    yield "passed" if model["passed"] else escaped(", ".join(failed) or "not checked")


def _engine(speedup: Mapping[str, Any]) -> str:
    name = speedup.get("engine", "keras")
    return "" if name == "keras" else f" in {escaped(name)}"


def _reduction(data: Mapping[str, Any] | None) -> Iterator[str]:
    for key in ("layers", "batchnorms", "parameters"):
        if data is None:
            yield ""
            continue
        before, after = data[key]
        # A normalization that became a Rescaling is not folded.
        after += data.get("precomputed", 0) if key == "batchnorms" else 0
        yield f"{before:,} → {after:,}"


def escaped(text: str) -> str:
    """The text escaped for Markdown, on one line; a long one is cut."""
    return shown(" ".join(text.split()), _LONGEST).translate(_SPECIAL)
