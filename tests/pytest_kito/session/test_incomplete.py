"""Sessions in which a check is not made, or dies, or fails outside of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Repository = Callable[[str], pytest.Pytester]

SMALL = """
    version: 1
    models:
      small: {source: "nets:net", speedup: {device: cpu, batch_size: 1, budget_s: 0.5}}
      other: {source: "nets:net"}
"""


def run(folder: pytest.Pytester, *args: str, subprocess: bool = False) -> pytest.RunResult:
    start = folder.runpytest_subprocess if subprocess else folder.runpytest_inprocess
    return start("--kito-check", "--kito-artifacts=out", "--kito-report=out/r.json", *args)


def report(folder: pytest.Pytester) -> Any:
    return json.loads((folder.path / "out/r.json").read_text())


def model(folder: pytest.Pytester, name: str = "small") -> Any:
    return next(x for x in report(folder)["models"] if x["name"] == name)


def published(folder: pytest.Pytester) -> set[str]:
    return {path.name for path in (folder.path / "out").glob("*.keras")}


def test_a_selection_of_checks_publishes_nothing_and_says_so(repository: Repository) -> None:
    folder = repository(SMALL)
    result = run(folder, "-k", "artifact or (other and not reduction)")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "small.keras is not published: reduction, equivalence, speedup[[]1] were not run",
            "other.keras is not published: reduction was not run",
        ]
    )
    assert published(folder) == set()
    assert model(folder)["not_run"] == ["reduction", "equivalence", "speedup[1]"]


def test_a_session_that_stops_publishes_only_what_was_finished(repository: Repository) -> None:
    folder = repository(SMALL.replace("other: {", "other: {tolerance: {rtol: 0.0}, "))
    result = run(folder, "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert published(folder) == {"small.keras"}
    assert model(folder, "other")["not_run"] == ["artifact[keras]"]


HOOK = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_{when}(item):
    if item.name == "speedup[1]":
        {what}
"""


@pytest.mark.parametrize(
    "when, what, message",
    [
        ("setup", "raise RuntimeError('boom')", "before the check: *RuntimeError: boom"),
        ("teardown", "raise RuntimeError('boom')", "after the check: *RuntimeError: boom"),
        ("call", "pytest.fail('too late')", "*too late"),
    ],
)
def test_a_failure_outside_of_the_check_is_one_of_the_model(
    repository: Repository, when: str, what: str, message: str
) -> None:
    folder = repository(SMALL)
    folder.makeconftest(HOOK.format(when=when, what=what))
    result = run(folder)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "small*failed: speedup[[]1]",
            f"small: speedup[[]1]: {message}",
            "small.keras is not published: speedup[[]1] failed",
        ]
    )
    assert report(folder)["passed"] is False
    assert model(folder)["passed"] is False
    assert published(folder) == {"other.keras"}
    assert len(model(folder)["speedup"]) == (0 if when == "setup" else 1)


def test_a_skip_outside_of_the_check_has_its_reason(repository: Repository) -> None:
    folder = repository(SMALL)
    folder.makeconftest(HOOK.format(when="setup", what="pytest.skip('the GPU is busy')"))
    result = run(folder)
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines(["skipped: small: speedup[[]1]: *the GPU is busy"])
    assert published(folder) == {"small.keras", "other.keras"}


def test_an_interrupt_publishes_only_what_was_finished(repository: Repository) -> None:
    folder = repository(SMALL)
    stop = "def pytest_runtest_setup(item):\n    if 'other' in item.nodeid: raise KeyboardInterrupt"
    folder.makeconftest(stop)
    args = ("--kito-check", "--kito-artifacts=out", "--kito-report=out/r.json")
    result = folder.runpytest_inprocess(*args, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert report(folder)["interrupted"] is True
    assert report(folder)["passed"] is False
    assert published(folder) == {"small.keras"}


@pytest.mark.slow
def test_a_worker_that_dies_fails_the_check_that_it_made(repository: Repository) -> None:
    folder = repository(SMALL)
    folder.makeconftest(HOOK.format(when="call", what="import os; os._exit(3)"))
    result = run(folder, "-n", "1", subprocess=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines_random(
        [
            "small: speedup[[]1]: worker 'gw*' crashed while running *speedup*",
            "small.keras is not published: speedup[[]1] failed",
        ]
    )
    assert report(folder)["passed"] is False
    assert published(folder) == {"other.keras"}
    assert not list((folder.path / "out").glob(".*"))


SOURCES = """
import pytest

def skipping():
    pytest.skip("no licence for the weights here")

def failing():
    pytest.fail("not like this")
"""


def test_a_source_that_skips_or_fails_by_pytest_passes_nothing(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          skips: {source: "sources:skipping"}
          fails: {source: "sources:failing"}
        """
    )
    folder.makepyfile(sources=SOURCES)
    result = run(folder)
    result.assert_outcomes(skipped=3, failed=3)
    result.stdout.fnmatch_lines(["skipped: skips: *: no licence for the weights here"])
    assert [x["passed"] for x in report(folder)["models"]] == [False, False]
    assert report(folder)["passed"] is False


@pytest.mark.parametrize("quiet", [(), ("--no-summary",), ("-qq",)])
def test_a_report_that_cannot_be_written_is_an_error_that_says_so(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, quiet: tuple[str, ...]
) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    (folder.path / "file").touch()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder.path / "summary.md"))
    args = ("--kito-report=file/report.json", "--kito-artifacts=out")
    result = folder.runpytest_inprocess("--kito-check", *args, *quiet)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["passed"] == 3 if not quiet else True
    result.stdout.fnmatch_lines(
        ["the JSON report *report.json cannot be written: *; check *name another * --kito-report"]
    )
    assert published(folder) == {"small.keras"}
    assert "| small |" in (folder.path / "summary.md").read_text(encoding="utf-8")


def test_artifacts_that_cannot_be_published_are_an_error_too(repository: Repository) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    folder.mkdir("out").joinpath("kito-manifest.json").write_text("broken")
    result = run(folder)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["the artifacts are not published to *out: *is invalid*"])
    assert published(folder) == set()
    assert model(folder)["passed"] is True
