"""Sessions that end before all selected checks were made: their reports say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kito.reports.merge import merge_reports

Repository = Callable[[str], pytest.Pytester]

TWO = """
    version: 1
    models:
      small: {source: "nets:net"}
      other: {source: "nets:net"}
"""
CHECKS = ["reduction", "equivalence", "artifact[keras]"]
FAILING = "def test_user():\n    assert False\n"
STOPPING = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    pytest.session.{flag} = "enough"

def pytest_sessionstart(session):
    pytest.session = session
"""


def run(folder: pytest.Pytester, *args: str, subprocess: bool = False) -> pytest.RunResult:
    given = ("--kito-check", "--kito-artifacts=out", "--kito-report=r.json", *args)
    if subprocess:
        return folder.runpytest_subprocess(*given)
    return folder.runpytest_inprocess(*given, no_reraise_ctrlc=True)


def report(folder: pytest.Pytester) -> Any:
    return json.loads((folder.path / "r.json").read_text())


def merged_with_a_shard_that_passed(folder: pytest.Pytester) -> Any:
    path = folder.path / "passed.json"
    model = {"name": "third", "line": 9, "passed": True, "checks": [], "not_run": []}
    path.write_text(json.dumps({**report(folder), "passed": True, "models": [model]}))
    return merge_reports([path, folder.path / "r.json"])


def assert_nothing_was_checked(folder: pytest.Pytester) -> None:
    found = report(folder)
    assert found["passed"] is False
    assert [(x["name"], x["passed"], x["checks"], x["not_run"]) for x in found["models"]] == [
        ("small", False, [], CHECKS),
        ("other", False, [], CHECKS),
    ]
    assert merged_with_a_shard_that_passed(folder)["passed"] is False
    assert not list((folder.path / "out").glob("*.keras"))


@pytest.mark.parametrize(
    "test, hooks, args, status",
    [
        (FAILING, "", ["-x"], pytest.ExitCode.TESTS_FAILED),
        (FAILING, "", ["--maxfail=1"], pytest.ExitCode.TESTS_FAILED),
        (FAILING, STOPPING.format(flag="shouldfail"), [], pytest.ExitCode.TESTS_FAILED),
        (FAILING, STOPPING.format(flag="shouldstop"), [], pytest.ExitCode.INTERRUPTED),
        ("import nothing_of_this_name\n", "", [], pytest.ExitCode.INTERRUPTED),
        ("def test(): raise KeyboardInterrupt\n", "", [], pytest.ExitCode.INTERRUPTED),
        # A status of success, although no check was made.
        ("import pytest\ndef test(): pytest.exit('bye', returncode=0)\n", "", [], 0),
    ],
    ids=["exitfirst", "maxfail", "shouldfail", "shouldstop", "collection", "interrupt", "exit"],
)
def test_a_session_that_stops_before_its_checks_has_not_passed(
    repository: Repository, test: str, hooks: str, args: list[str], status: int
) -> None:
    folder = repository(TWO)
    folder.makepyfile(test_user=test)
    folder.makeconftest(hooks)
    assert run(folder, *args, "test_user.py", "kito.yaml").ret == status
    assert report(folder)["interrupted"] is True
    assert_nothing_was_checked(folder)


def test_a_model_that_does_not_exist_in_the_arguments_is_no_empty_shard(
    repository: Repository,
) -> None:
    folder = repository(TWO)
    assert run(folder, "kito.yaml::nett").ret == pytest.ExitCode.USAGE_ERROR
    assert report(folder)["interrupted"] is True
    assert_nothing_was_checked(folder)


def test_a_session_that_deselects_every_check_is_no_empty_shard(repository: Repository) -> None:
    folder = repository(TWO)
    result = run(folder, "-k", "nothing_of_this_name")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert report(folder)["interrupted"] is False
    assert_nothing_was_checked(folder)
    result.stdout.no_fnmatch_line("*= kito =*")


def test_a_shard_without_models_counts_as_nothing(repository: Repository) -> None:
    folder = repository(TWO)
    assert run(folder, "--kito-shard=3/3").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert report(folder)["models"] == []
    assert report(folder)["interrupted"] is False
    assert merged_with_a_shard_that_passed(folder)["passed"] is True


def test_a_session_that_stops_within_a_model_has_not_passed(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makeconftest(
        "import pytest\n\n"
        "def pytest_runtest_teardown(item):\n"
        "    if item.name == 'reduction':\n"
        "        pytest.exit('bye', returncode=0)\n"
    )
    result = run(folder)
    assert result.ret == 0
    assert report(folder)["passed"] is False
    assert report(folder)["interrupted"] is True
    assert [(x["passed"], x["not_run"]) for x in report(folder)["models"]] == [
        (True, CHECKS[1:]),
        (False, CHECKS),
    ]
    result.stdout.fnmatch_lines(["other * not run"])


def test_a_failing_test_of_the_user_leaves_the_checks_as_they_are(repository: Repository) -> None:
    """The status of pytest tells of the test; the report is about the models."""
    folder = repository(TWO)
    folder.makepyfile(test_user=FAILING)
    result = run(folder, "test_user.py", "kito.yaml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert report(folder)["passed"] is True
    assert report(folder)["interrupted"] is False
    assert {path.name for path in Path(folder.path / "out").glob("*.keras")} == {
        "small.keras",
        "other.keras",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "test, args",
    [
        (FAILING, ["-x"]),
        ("import os\ndef test_user(): os._exit(3)\n", ["--max-worker-restart=0"]),
    ],
    ids=["exitfirst", "crash"],
)
def test_workers_that_stop_before_the_checks_have_not_passed(
    repository: Repository, test: str, args: list[str]
) -> None:
    folder = repository(TWO)
    folder.makepyfile(test_user=test)
    result = run(folder, "-n", "1", *args, "test_user.py", "kito.yaml", subprocess=True)
    assert result.ret != 0
    assert report(folder)["interrupted"] is True
    assert_nothing_was_checked(folder)
