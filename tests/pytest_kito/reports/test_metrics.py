"""The metrics of a model in the reports that people read."""

from __future__ import annotations

from typing import Any

import pytest
from kito_results import ENVIRONMENT, declared, plain_pass, results

from pytest_kito.reports import github
from pytest_kito.reports.json import report
from pytest_kito.reports.metrics import metric_lines
from pytest_kito.reports.results import Finding, Results
from pytest_kito.reports.summary import summary
from pytest_kito.reports.terminal import lines


def entry(name: str, artifact_format: str | None = None, **figures: Any) -> dict[str, Any]:
    return {
        "name": name,
        "engine": artifact_format or "keras",
        "format": artifact_format,
        "original": 0.9866666,
        "value": 0.9866666,
        "passed": True,
        "skipped": None,
        **figures,
    }


@pytest.mark.parametrize(
    "entries, expected",
    [
        ([], []),
        (
            [entry("a"), entry("b", value=2), entry("a", "onnx"), entry("a", "litert", value=0.5)],
            [
                "a: original 0.986667; reduced, onnx 0.986667; litert 0.5",
                "b: original 0.986667; reduced 2",
            ],
        ),
        (
            [entry("a"), entry("a", "onnx", value=0.25, passed=False)],
            ["a: original 0.986667; reduced 0.986667; onnx 0.25 (failed)"],
        ),
        (
            [entry("a", passed=None), entry("a", "onnx", value=None, passed=None, skipped="gone")],
            ["a: original 0.986667; reduced 0.986667"],
        ),
        ([entry("a", original=None, value=None, passed=False)], ["a: reduced unknown (failed)"]),
        ([entry("a", original=None, value=None, passed=None, skipped="gone")], []),
    ],
)
def test_a_line_for_each_metric(entries: list[dict[str, Any]], expected: list[str]) -> None:
    assert list(metric_lines(entries)) == expected


def measured() -> Results:
    findings = [
        *plain_pass("a"),
        Finding("a", "metric[top_5]", data=entry("top_5")),
        Finding("a", "metric[top_5-onnx]", data=entry("top_5", "onnx")),
    ]
    return results(*findings, models=(declared("a"),))


LINE = "top_5: original 0.986667; reduced, onnx 0.986667"


def test_the_terminal_shows_them_below_the_table() -> None:
    shown = ["".join(text for text, _ in line) for line in lines(measured(), verbosity=-1)]
    assert shown[-1] == f"a: {LINE}"


def test_the_step_summary_shows_them() -> None:
    assert f"- {github.escape(f'a: {LINE}')}" in github.summary(measured()).splitlines()


def test_the_table_in_markdown_is_followed_by_them() -> None:
    written = report(measured())
    assert written["models"][0]["metrics"] == [entry("top_5"), entry("top_5", "onnx")]
    text = summary({**written, "environment": ENVIRONMENT})
    rows, rest = text.split("\n\n- ")
    assert rows.endswith(" passed |")
    assert rest.splitlines()[0] == r"a: top\_5\: original 0.986667; reduced, onnx 0.986667"


def test_a_report_of_an_earlier_version_has_none() -> None:
    written = report(results(*plain_pass("a")))
    del written["models"][0]["metrics"]
    assert "\n- " not in summary(written)
