"""What changed between two reports, and what of it counts as worse."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kito_results import plain_pass, reduction, results
from typer.testing import CliRunner

from kito.errors import KitoError
from pytest_kito.cli.app import app
from pytest_kito.reports.changes import NOT_REPRODUCIBLE, OTHER_MACHINE, Change
from pytest_kito.reports.diff import OTHER_ENVIRONMENT, UNKNOWN_MACHINE, Diff, diff_reports
from pytest_kito.reports.diff_text import diff_markdown, diff_text
from pytest_kito.reports.json import report

Content = dict[str, Any]
METRIC = {
    "name": "accuracy",
    "engine": "keras",
    "format": None,
    "original": 0.98,
    "value": 0.98,
    "min": 0.97,
    "max": None,
    "max_drop": None,
    "passed": True,
    "skipped": None,
}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Content, Content, Callable[[], Diff]]:
    """Two equal reports of the models ``a`` and ``b``, and a function that compares them."""
    first = report(results(*plain_pass("a"), *plain_pass("b")))
    first["created"] = "2026-01-01T00:00:00+00:00"
    second = copy.deepcopy(first)

    def compare() -> Diff:
        return diff_reports(*write(tmp_path, first, second))

    return first, second, compare


def write(folder: Path, first: Content, second: Content) -> tuple[Path, Path]:
    paths = folder / "before.json", folder / "after.json"
    for path, content in zip(paths, (first, second), strict=True):
        path.write_text(json.dumps(content))
    return paths


Two = tuple[Content, Content, Callable[[], Diff]]


def only(found: Diff) -> Change:
    [change] = found.changes
    return change


def test_equal_reports_have_no_changes(two: Two) -> None:
    found = two[2]()
    assert (found.changes, found.unchanged, found.environment) == ((), ("a", "b"), {})
    assert diff_text(found).startswith("nothing got worse: 0 models changed, 2 unchanged\n")


def test_models_come_and_go(two: Two) -> None:
    _, second, compare = two
    second["models"][1]["name"] = "c"
    gone, new = compare().changes
    assert gone == Change("b", "model", "", "passed", None, worse=True)
    assert new == Change("c", "model", "", None, "passed")


def test_what_was_kept_and_how_many_layers_there_are(two: Two) -> None:
    first, second, compare = two
    first["models"][0]["reduction"] = reduction({"bn_1": "why", "bn_2": "why", "bn_3": "why"})
    second["models"][0]["reduction"] = {
        **reduction({"bn_1": "why", "bn_3": "other", "bn_4": "new"}),
        "layers": [7, 6],
    }
    assert [(x.kind, x.what, x.before, x.after, x.worse) for x in compare().changes] == [
        ("structure", "layers", (7, 5), (7, 6), False),
        ("kept", "bn_2", "why", None, False),
        ("kept", "bn_3", "why", "other", False),
        ("kept", "bn_4", None, "new", False),
    ]


def test_a_difference_is_a_change_where_its_first_digits_are(two: Two) -> None:
    first, second, compare = two
    output = second["models"][0]["equivalence"]["outputs"]["scores"]
    output["max_abs"] *= 1.001
    assert compare().changes == ()
    output["max_abs"] = None  # not finite
    change = only(compare())
    assert (change.kind, change.what, change.worse) == ("difference", "scores", False)
    assert "1.0e-07 (rtol 1.0e-07 would do) → unknown (rtol" in diff_text(compare())
    first["models"][0]["equivalence"]["outputs"].clear()
    assert only(compare()).before is None


@pytest.mark.parametrize(
    "was, now, worse",
    [
        ("passed", "failed", True),
        ("passed", "skipped", True),
        ("passed", None, True),
        ("passed", "not run", True),
        ("skipped", "failed", False),
        ("failed", "passed", False),
        (None, "failed", False),
    ],
)
def test_a_check_that_passes_no_more_is_worse(
    two: Two, was: str | None, now: str | None, worse: bool
) -> None:
    *contents, compare = two
    for content, outcome in zip(contents, (was, now), strict=True):
        model = content["models"][0]
        [place] = [i for i, x in enumerate(model["checks"]) if x["check"] == "equivalence"]
        model["checks"][place]["outcome"] = outcome
        if outcome in (None, "not run"):
            del model["checks"][place]
        if outcome == "not run":
            model["not_run"] = ["equivalence"]
    change = only(compare())
    assert change == Change("a", "check", "equivalence", was, now, worse)


def time_again(content: Content, outcome: str, verdict: str, ratio: float) -> None:
    """Let the timing of model ``a`` at batch 32 end so."""
    model = content["models"][0]
    model["speedup"][1] |= {"ratio": ratio, "verdict": verdict}
    [check] = [x for x in model["checks"] if x["check"] == "speedup[32]"]
    check["outcome"] = outcome


@pytest.mark.parametrize(
    "outcome, verdict, shown, worse",
    [
        ("failed", "fail", "failed", True),
        ("failed", "inconclusive", "failed, inconclusive", True),
        ("passed", "inconclusive", "passed, inconclusive", False),  # on_inconclusive: warn
        ("passed", "pass", None, False),
    ],
)
def test_a_verdict_on_time_counts_on_the_same_machine_only(
    two: Two, outcome: str, verdict: str, shown: str | None, worse: bool
) -> None:
    _, second, compare = two
    time_again(second, outcome, verdict, 1.21)
    *checks, timing = compare().changes
    expected = Change("a", "check", "speedup[32]", "passed", shown, worse)
    assert checks == ([expected] if shown else [])
    assert (timing.kind, timing.what, timing.worse) == ("speed-up", "speedup[32]", False)
    assert timing.note == ""
    assert compare().unchanged == (("b",) if shown else ("a", "b"))
    second["environment"]["cpu"] = "Another"
    changes = compare().changes
    assert {x.note for x in changes} == {OTHER_MACHINE}
    assert not any(x.worse for x in changes)
    # Not to be declared any more is no matter of the machine.
    second["models"][0]["checks"] = [
        x for x in second["models"][0]["checks"] if x["check"] != "speedup[32]"
    ]
    assert [x.after for x in compare().worse] == [None]


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda x: x["environment"].update(device_name="A"), OTHER_MACHINE),
        (lambda x: x["environment"].update(keras="3.99"), OTHER_ENVIRONMENT),
        (lambda x: x.update(environment=None), UNKNOWN_MACHINE),
        (lambda x: x.update(environments=[{"cpu": "A"}, {"cpu": "B"}]), UNKNOWN_MACHINE),
        (lambda x: x["models"][0]["speedup"][0].update(device_name="GPU 1"), OTHER_MACHINE),
    ],
)
def test_times_are_compared_on_one_machine_with_one_environment(
    two: Two, change: Callable[[Content], None], reason: str
) -> None:
    _, second, compare = two
    second["models"][0]["speedup"][0]["ratio"] = 1.26
    assert only(compare()).note == ""
    change(second)
    timing = only(compare())
    assert (timing.note, timing.worse) == (reason, False)
    assert f"1.25x [1.20, 1.30] → 1.26x [1.20, 1.30] ({reason})" in diff_text(compare())


def test_artifacts_change_their_bytes_or_are_gone(two: Two) -> None:
    first, second, compare = two
    [artifact] = second["models"][0]["artifacts"]
    artifact |= {"bytes": 12_000, "sha256": "1" * 64}
    assert (only(compare()).worse, only(compare()).note) == (False, "")
    assert f"10 bytes, sha256 {'0' * 12} → 12,000 bytes, sha256 {'1' * 12}" in diff_text(compare())
    artifact["format"] = "saved_model"
    assert only(compare()).note == NOT_REPRODUCIBLE
    second["models"][0]["artifacts"] = []
    change = only(compare())
    assert (change.kind, change.what, change.after, change.worse) == (
        "artifact",
        "a.keras",
        None,
        True,
    )
    first["models"][0]["artifacts"] = []
    assert compare().changes == ()


def test_a_metric_out_of_its_bounds_is_worse_once(two: Two) -> None:
    first, second, compare = two
    first["models"][0]["metrics"] = [METRIC]
    second["models"][0]["metrics"] = [{**METRIC, "value": 0.975}]
    assert not only(compare()).worse
    second["models"][0]["metrics"] = [{**METRIC, "value": 0.9, "passed": False}]
    assert only(compare()).worse
    assert "metric[accuracy]  0.98 → 0.9 (failed)" in diff_text(compare())
    check = {"check": "metric[accuracy]", "message": ""}
    for content, outcome in ((first, "passed"), (second, "failed")):
        content["models"][0]["checks"].append({**check, "outcome": outcome})
    assert [x.kind for x in compare().worse] == ["check"]


def test_a_report_without_its_checks_is_judged_as_a_whole(two: Two) -> None:
    first, second, compare = two
    for content in (first, second):
        del content["models"][0]["checks"]
    second["models"][0]["passed"] = False
    assert only(compare()) == Change("a", "model", "", "passed", "not run", worse=True)


def test_one_name_twice_is_no_report_to_compare(two: Two) -> None:
    _, second, compare = two
    second["models"][1]["name"] = "a"
    with pytest.raises(KitoError, match=r"model 'a' is in .*after.json twice"):
        compare()


def test_the_text_marks_what_got_worse_and_says_where_it_ran(two: Two) -> None:
    _, second, compare = two
    time_again(second, "failed", "fail", 1.0)
    second["environment"]["threads"] = 4
    second["models"][0]["checks"][0]["outcome"] = "failed"
    lines = diff_text(compare()).splitlines()
    assert lines[0] == "1 thing got worse: 1 model changed, 1 unchanged"
    assert lines[1].startswith("before: ")
    assert "before.json, 2026-01-01T00:00:00+00:00, pytest-kito " in lines[1]
    assert lines[3:6] == ["environment: threads 2 → 4", "", "a"]
    assert lines[6] == "! check     reduction    passed → failed"
    assert lines[7] == f"  check     speedup[32]  passed → failed ({OTHER_ENVIRONMENT})"
    assert lines[-1] == "! marks what got worse"


def test_the_markdown_is_one_table_with_escaped_names(two: Two) -> None:
    *contents, compare = two
    for content in contents:
        content["models"][0]["name"] = "a_|<b>"
    contents[1]["models"][0]["checks"][0]["outcome"] = "failed"
    text = diff_markdown(compare())
    assert text.startswith("### kito: 1 thing got worse")
    assert text.splitlines()[-1] == (r"| a\_\|\<b\> | check | reduction | passed | **failed** |")


def test_the_command_answers_by_its_exit_code(two: Two, tmp_path: Path) -> None:
    first, second, _ = two
    argv = ["diff", *map(str, write(tmp_path, first, second))]
    assert CliRunner().invoke(app, argv).exit_code == 0
    del second["models"][1]
    write(tmp_path, first, second)
    result = CliRunner().invoke(app, [*argv, "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["passed"] is False
    assert answer["changes"][0] == {
        "model": "b",
        "kind": "model",
        "what": "",
        "before": "passed",
        "after": None,
        "worse": True,
        "note": "",
    }
    assert "### kito: 1 thing" in CliRunner().invoke(app, [*argv, "--markdown"]).stdout
    both = CliRunner().invoke(app, [*argv, "--markdown", "--json"])
    assert isinstance(both.exception, KitoError)
    swapped = CliRunner().invoke(app, ["diff", argv[2], argv[1]])
    assert (swapped.exit_code, "got worse:" in swapped.stdout) == (0, True)


def test_the_command_needs_no_keras(two: Two, tmp_path: Path) -> None:
    code = (
        "import sys; from pytest_kito.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as exit_: assert exit_.code == 0\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    paths = map(str, write(tmp_path, *two[:2]))
    subprocess.run([sys.executable, "-c", code, "diff", *paths], check=True, capture_output=True)
