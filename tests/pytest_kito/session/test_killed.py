"""A session that is killed at any point of publishing and reporting leaves nothing half-done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import killed
import pytest

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, SUMS, verify
from kito.export.scratch import ScratchFolder

Repository = Callable[[str], pytest.Pytester]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")


@pytest.fixture(autouse=True)
def _no_loss_of_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is flushed to disk is tested elsewhere; here it would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


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
        finished = (target / MANIFEST).exists()
        with pytest.raises(KitoError, match="already") if finished else nullcontext():
            killed.merge(folder)
        assert verify(target) == []
        names = {path.name for path in target.iterdir()}
        assert names == {"a.keras", "b.keras", "c.keras", MANIFEST, SUMS}


HOLD = """
import os, sys
from pathlib import Path
from kito.export.scratch import ScratchFolder, create_file

os.getpid = lambda: 2**22 + 1  # as in another container: here, no process has this number
staging = ScratchFolder(Path(sys.argv[1]))
descriptor, temporary = create_file(Path(sys.argv[1]), 0o666)
print(staging.path, temporary, sep="\\n", flush=True)
sys.stdin.read()
"""


def tidy(folder: Path) -> set[str]:
    """What another session leaves of a folder."""
    killed.finish(folder, "3")
    names = {path.name for path in folder.iterdir()}
    assert names >= {"c.keras", "report.json", MANIFEST, SUMS}
    return names - {"c.keras", "report.json", MANIFEST, SUMS}


def test_what_a_session_in_another_container_works_on_is_left_alone(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        held = {Path(other.stdout.readline().strip()).name for _ in range(2)}
        strange = tmp_path / ".kito-tmp-mine"
        strange.write_text("")
        assert tidy(tmp_path) == {*held, strange.name}
        other.kill()
        other.wait()
        assert tidy(tmp_path) == {strange.name}


def test_a_session_in_another_pid_namespace_leaves_ours_alone(tmp_path: Path) -> None:
    isolated = ["unshare", "--pid", "--fork"]
    if shutil.which("unshare") is None or subprocess.run([*isolated, "true"]).returncode:
        pytest.skip("needs the right to make a PID namespace")
    code = "import sys, killed, pathlib; killed.finish(pathlib.Path(sys.argv[1]), '3')"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ScratchFolder(tmp_path) as staging:
        command = [*isolated, sys.executable, "-c", code, str(tmp_path)]
        subprocess.run(command, env=environ, check=True)
        assert staging.is_dir()
        assert (tmp_path / "c.keras").exists()


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
    assert {path.name[:10] for path in out.iterdir()} == {".kito-lock", ".kito-tmp-"}
    folder.runpytest_inprocess(*args).assert_outcomes(passed=3)
    names = {path.name for path in out.iterdir()}
    assert names == {"small.keras", "report.json", MANIFEST, SUMS}
    assert verify(out) == []
