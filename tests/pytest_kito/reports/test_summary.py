"""The table of a report in Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kito.errors import KitoError
from pytest_kito.cli.app import app
from pytest_kito.reports.summary import escaped, summary

MODEL: dict[str, Any] = {
    "name": "net_1",
    "passed": True,
    "reduction": {
        "layers": [9, 7],
        "batchnorms": [3, 0],
        "precomputed": 1,
        "parameters": [1234, 1200],
    },
    "equivalence": {"outputs": {"a": {"max_abs": 1e-6, "scale": 2.0}}},
    "speedup": [
        {"ratio": 1.5, "low": 1.4, "high": 1.6, "batch_size": 1},
        {"ratio": None, "low": None, "high": None, "batch_size": 8},
    ],
    "checks": [{"check": "reduction", "outcome": "passed"}],
}
BROKEN: dict[str, Any] = {
    **MODEL,
    "name": "b",
    "passed": False,
    "reduction": None,
    "equivalence": None,
    "speedup": [],
    "checks": [{"check": "speedup[1]", "outcome": "failed"}],
}
MACHINE = {
    "device_name": "A | B",
    "device": "cpu",
    "keras": "3.15",
    "backend": "tensorflow",
    "backend_version": "2.21",
}
REPORT: dict[str, Any] = {
    "schema_version": 1,
    "created": "2026-01-01T00:00:00+00:00",
    "passed": True,
    "environment": MACHINE,
    "models": [MODEL],
}


def test_a_speed_up_names_its_engine() -> None:
    speedups = [{**MODEL["speedup"][0], "engine": name} for name in ("keras", "saved_model")]
    text = summary({**REPORT, "models": [{**MODEL, "speedup": speedups}]})
    assert r"| 1.50x [1.40, 1.60] at 1<br>1.50x [1.40, 1.60] at 1 in saved\_model |" in text


def test_one_row_for_a_model() -> None:
    text = summary(REPORT)
    assert text.startswith("### kito: passed\n\n| model |")
    row = r"| net\_1 | 9 → 7 | 3 → 1 | 1,234 → 1,200 | 5.0e-07 | 1.50x [1.40, 1.60] at 1 | passed |"
    assert row in text
    assert r"On A \| B (cpu), Keras 3.15, tensorflow 2.21." in text


def test_what_failed_is_named() -> None:
    text = summary({**REPORT, "passed": False, "models": [MODEL, BROKEN]})
    assert "1 of 2 models did not pass" in text
    assert r"| b |  |  |  |  |  | speedup\[1\] |" in text


@pytest.mark.parametrize(
    "more, verdict",
    [
        ({"missing": ["x_1", "y"]}, r"not checked: x\_1, y"),
        ({"missing": list("abcdefg")}, "not checked: a, b, c, d, e and 2 more"),
        ({"interrupted": True}, "a session ended early"),
        ({"models": []}, "no model was checked"),
        ({"models": [BROKEN], "missing": ["x"]}, "1 of 1 model did not pass; not checked: x"),
    ],
)
def test_the_first_line_says_why_a_run_did_not_pass(more: dict[str, Any], verdict: str) -> None:
    text = summary({**REPORT, "passed": False, **more})
    assert text.splitlines()[0] == f"### kito: {verdict}"


@pytest.mark.parametrize("text", ["a|b", "<img>", "[x](y)", "@all #1", "a\n::error::"])
def test_text_is_escaped(text: str) -> None:
    shown = escaped(text)
    assert "\n" not in shown
    assert not any(f"{x}" in shown.replace(f"\\{x}", "") for x in "|<>[]@#:")


def test_the_command_prints_it(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT))
    result = CliRunner().invoke(app, ["summary", str(path)])
    assert result.exit_code == 0
    assert result.stdout == summary(REPORT)


def test_an_invalid_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**REPORT, "models": [{"name": "a"}]}))
    result = CliRunner().invoke(app, ["summary", str(path)])
    assert isinstance(result.exception, KitoError)
