"""What the results say in words, for every report that people read. Nothing here is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_kito.checks.phases import PHASES
from pytest_kito.reports.results import Finding, ModelResult, Results

NO_GPU = (
    "no speed-up was judged: every minimum is declared for a GPU and this run is on the CPU; run "
    "it where there is a GPU, or declare speedup: {device: cpu}"
)


def machine(results: Results) -> str | None:
    """What was measured on."""
    environment = results.environment
    if environment is None:
        return None
    return (
        f"{environment['device_name']} ({environment['device']}), Keras {environment['keras']}, "
        f"{environment['backend']} {environment['backend_version']}"
    )


def phases(results: Results) -> str:
    """Where the time went, and the gate's own part of it."""
    seconds = results.seconds
    spent = ", ".join(f"{name} {seconds[name]:.1f}" for name in PHASES)
    share = seconds["own"] / seconds["total"] if seconds["total"] else 0.0
    return f"{seconds['total']:.1f} s: {spent}, the gate itself {seconds['own']:.1f} ({share:.1%})"


def verdict(finding: Finding) -> str | None:
    """Why a check is no plain pass, in one sentence; None where it is one."""
    data = finding.data or {}
    if finding.outcome == "passed" and data.get("verdict") in (None, "pass"):
        return None
    explanation, message = str(data.get("explanation") or ""), finding.message
    # What failed outside of the check has a message of its own.
    told = message if explanation not in message else explanation or message
    return " ".join((told or explanation or data.get("verdict") or finding.outcome).split())


def told(findings: Iterable[Finding], outcome: str) -> dict[str, list[Finding]]:
    """By sentence, the findings of this outcome that are no plain passes: one cause, one line."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        sentence = verdict(finding)
        if finding.outcome == outcome and sentence is not None:
            found.setdefault(sentence, []).append(finding)
    return found


def names(findings: Iterable[Finding]) -> str:
    """The checks by model: ``small: speedup[1], speedup[32]; wide: reduction``."""
    checks: dict[str, list[str]] = {}
    for finding in findings:
        checks.setdefault(finding.model, []).append(finding.check)
    return "; ".join(f"{model}: {', '.join(each)}" for model, each in checks.items())


def kept(model: ModelResult) -> list[tuple[str, str]]:
    """What the reduction kept: the layer, and why."""
    data = model.data("reduction") or {}
    kept = data.get("kept", ())
    return [(" ".join(x["layer"].split()), " ".join(x["reason"].split())) for x in kept]
