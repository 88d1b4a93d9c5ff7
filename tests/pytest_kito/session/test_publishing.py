"""Real sessions that publish: what the manifest says, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kito.export.manifest import MANIFEST, SUMS, verify

Repository = Callable[[str], pytest.Pytester]

TWO = "{version: 1, models: {small: {source: 'nets:net'}, other: {source: 'nets:net'}}}"
ARGS = ("--kito-check", "--kito-artifacts=out", "--kito-report=report.json")

TAMPER = """
from pathlib import Path

def pytest_runtest_logreport(report):
    if report.nodeid.endswith("small::artifact[keras]") and report.when == "teardown":
        [path] = Path("out").glob(".kito-tmp-*/small.keras")
        path.write_bytes(path.read_bytes()[:-1] + b"x")
"""


@pytest.mark.parametrize("more", [(), pytest.param(("-n1",), marks=pytest.mark.slow)])
def test_a_test_that_changes_a_proved_file_fails_the_session(
    repository: Repository, more: tuple[str, ...]
) -> None:
    folder = repository(TWO)
    folder.makeconftest(TAMPER)
    run = folder.runpytest_subprocess if more else folder.runpytest_inprocess
    result = run(*ARGS, *more)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "small: artifact[[]keras]: small.keras: it was changed after it was proved",
            "nothing of model 'small' is published: small.keras: it was changed *; find out *",
        ]
    )
    report = json.loads((folder.path / "report.json").read_text())
    assert report["passed"] is False
    assert [model["passed"] for model in report["models"]] == [False, True]
    assert {path.name for path in (folder.path / "out").iterdir()} == {
        "other.keras",
        MANIFEST,
        SUMS,
    }
    assert verify(folder.path / "out") == []


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_manifest_has_the_commit_of_the_models(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "models")):
        subprocess.run([*git, *command], cwd=folder.path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder.path, check=True, capture_output=True, text=True
    ).stdout.strip()
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/models")
    folder.runpytest_inprocess(*ARGS).assert_outcomes(passed=3)
    manifest = json.loads((folder.path / "out" / MANIFEST).read_text())
    [entry] = manifest["files"]
    assert (manifest["repository"], manifest["commit"]) == ("owner/models", head)
    assert entry["origin"]["commit"] == head
    assert entry["origin"]["modified"] is False
    assert entry["reproducible"] is True


def test_a_folder_that_cannot_be_made_fails_its_checks_in_one_line(repository: Repository) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    (folder.path / "out").write_text("a file")
    result = folder.runpytest_inprocess(*ARGS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["small: artifact[[]keras]: */out cannot be written: File exists; *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert Path(folder.path / "out").read_text() == "a file"
