"""Sentences about the results, for every report that people read. They are not escaped."""

from __future__ import annotations

from collections.abc import Iterable

from kito.errors import counted
from pytest_kito.checks.phases import PHASES
from pytest_kito.reports.metrics import metric_lines
from pytest_kito.reports.results import Finding, ModelResult, Results

NO_GPU = (
    "no speed-up was judged: every minimum is declared for a GPU and this run is on the CPU; run "
    "it on a machine with a GPU, or declare speedup: {device: cpu}"
)


def machine(results: Results) -> str | None:
    """The machine and the backend of the session; None if no finding names them."""
    environment = results.environment
    if environment is None:
        return None
    return (
        f"{environment['device_name']} ({environment['device']}), Keras {environment['keras']}, "
        f"{environment['backend']} {environment['backend_version']}"
    )


def phases(results: Results) -> str:
    """The seconds of each phase, and of the gate itself with its share."""
    seconds = results.seconds
    listed = ", ".join(f"{name} {seconds[name]:.1f}" for name in PHASES)
    share = seconds["own"] / seconds["total"] if seconds["total"] else 0.0
    return f"{seconds['total']:.1f} s: {listed}, the gate itself {seconds['own']:.1f} ({share:.1%})"


def verdict(finding: Finding) -> str | None:
    """Why a check failed, was skipped, or passed with a reservation; None for any other pass."""
    data = finding.data or {}
    if finding.outcome == "passed" and data.get("verdict") in (None, "pass"):
        return None
    explanation, message = str(data.get("explanation") or ""), finding.message
    # A failure outside of the check itself has a message that does not hold the explanation.
    reason = message if explanation not in message else explanation or message
    return " ".join((reason or explanation or data.get("verdict") or finding.outcome).split())


def by_sentence(findings: Iterable[Finding], outcome: str) -> dict[str, list[Finding]]:
    """The findings of this outcome by their :func:`verdict`, so that each cause is shown once."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        sentence = verdict(finding)
        if finding.outcome == outcome and sentence is not None:
            groups.setdefault(sentence, []).append(finding)
    return groups


def names(findings: Iterable[Finding]) -> str:
    """The checks by model: ``small: speedup[1], speedup[32]; wide: reduction``."""
    checks: dict[str, list[str]] = {}
    for finding in findings:
        checks.setdefault(finding.model, []).append(finding.check)
    return "; ".join(f"{model}: {', '.join(each)}" for model, each in checks.items())


def metrics(model: ModelResult) -> list[str]:
    """A line per metric of a model, with its values."""
    return list(metric_lines(x.data for x in model.of("metric") if x.data is not None))


def left_alone(model: ModelResult) -> dict[str, list[tuple[str, str]]]:
    """What the reduction could not do: by title, layers with the reason.

    The titles are ``2 kept as they are``, for affines that stayed, and ``1 shared by both models``,
    for layers that could not be copied.
    """
    data = model.data("reduction") or {}
    groups = {}
    for key, one, many in (
        ("kept", "kept as it is", "kept as they are"),
        ("shared", "shared by both models", "shared by both models"),
    ):
        entries = data.get(key, ())
        if entries:
            groups[counted(len(entries), one, many)] = [
                (" ".join(x["layer"].split()), " ".join(x["reason"].split())) for x in entries
            ]
    return groups
