"""A session that is killed at any point of publishing and reporting leaves nothing half-done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import killed
import pytest

from kito.export.files import write_text
from kito.export.manifest import MANIFEST, SUMS, verify
from pytest_kito.artifacts.publish import remove_staging, staging_folder

Repository = Callable[[str], pytest.Pytester]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")


def killed_everywhere(place: Path, what: str) -> list[Path]:
    """The folders as sessions left them, each killed at the next point; the last was not."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "killed", str(place), what]
    subprocess.run(command, env=environ, check=True)
    return sorted(place.iterdir(), key=lambda path: int(path.name))


def assert_nothing_is_half_done(folder: Path) -> None:
    for path in folder.glob("*.keras"):
        wholes = [killed.content(path.stem, version) for version in "12"]
        assert path.read_bytes() in wholes, path
    report = folder / "report.json"
    assert not report.exists() or json.loads(report.read_text())["models"]
    if (folder / MANIFEST).exists():
        problems = verify(folder)
        # What the manifest lists is there and is what it says; what it does not list is named.
        listed = [x for x in problems if "differs" in x or "were proved" in x or "is missing" in x]
        assert listed == []


def test_publishing_and_reporting(tmp_path: Path) -> None:
    *left, done = killed_everywhere(tmp_path, "finish")
    assert len(left) > 30
    final = {"a.keras", "b.keras", "new.keras", "report.json", MANIFEST, SUMS}
    unlisted = ["b.keras: is not listed in the manifest"]
    assert verify(done) == unlisted
    outcomes = set()
    for folder in left:
        assert_nothing_is_half_done(folder)
        outcomes.add(tuple(verify(folder)))
        killed.finish(folder, "2")
        assert verify(folder) == unlisted
        assert {path.name for path in folder.iterdir()} == final
    assert len(outcomes) > 3  # before, between and after the steps


def test_merging_folders(tmp_path: Path) -> None:
    *left, done = killed_everywhere(tmp_path, "merge")
    assert len(left) > 10
    assert verify(done / "all") == []
    for folder in left:
        target = folder / "all"
        for path in target.glob("*.keras"):
            assert path.read_bytes() in [killed.content(path.stem, x) for x in "13"]
        if not (target / MANIFEST).exists():
            killed.merge(folder)
        assert verify(target) == []
        names = {path.name for path in target.iterdir()}
        assert names == {"a.keras", "b.keras", "c.keras", MANIFEST, SUMS}


def test_what_a_live_session_works_on_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        staging = staging_folder(tmp_path, f"{other.pid}-abc")
        staging.mkdir()
        temporary = tmp_path / f".report.json.{other.pid}"
        temporary.write_text("half")
        strange = [tmp_path / ".report.json.mine", staging_folder(tmp_path, "mine")]
        strange[0].write_text("")
        strange[1].mkdir()

        def tidy() -> set[Path]:
            write_text(tmp_path / "report.json", "{}")
            remove_staging(tmp_path, "1-none")
            return set(tmp_path.iterdir())

        assert tidy() == {tmp_path / "report.json", staging, temporary, *strange}
        other.kill()
        other.wait()
        assert tidy() == {tmp_path / "report.json", *strange}


KILLED = """
import os, signal, sys

def hook(name, args):
    if name == "os.rename" and str(args[1]).endswith(os.path.join("out", "small.keras")):
        os.kill(os.getpid(), signal.SIGKILL)

if "KILL" in os.environ:
    sys.addaudithook(hook)
"""


def test_a_real_session(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    folder.makeconftest(KILLED)
    args = ("--kito-check", "--kito-artifacts", "out", "--kito-report", "out/report.json")
    with monkeypatch.context() as patch:
        patch.setenv("KILL", "1")
        assert folder.runpytest_subprocess(*args).ret == -signal.SIGKILL
    out = folder.path / "out"
    assert [path.name[:9] for path in out.iterdir()] == [".staging-"]
    folder.runpytest_inprocess(*args).assert_outcomes(passed=3)
    names = {path.name for path in out.iterdir()}
    assert names == {"small.keras", "report.json", MANIFEST, SUMS}
    assert verify(out) == []
