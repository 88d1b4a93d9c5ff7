"""The lock of a folder: who waits, what they are told, and what a killed holder leaves."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kito.errors import KitoError
from kito.export import lock
from kito.export.lock import LOCK, folder_lock

posix = pytest.mark.skipif(os.name != "posix", reason="takes locks of POSIX away")


@pytest.fixture(params=["locks", "no locks"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system with locks, and one without, as some network file systems are."""
    if request.param == "no locks":
        no_locks(monkeypatch)
    return str(request.param)


def no_locks(monkeypatch: pytest.MonkeyPatch, code: int = errno.ENOLCK) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    if os.name != "posix":
        pytest.skip("takes locks of POSIX away")
    monkeypatch.setattr(lock.fcntl, "flock", flock)


@pytest.mark.usefixtures("file_system")
def test_one_after_the_other(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with folder_lock(tmp_path, "a test"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_who_waits_is_told_for_whom_and_not_for_ever(
    tmp_path: Path, file_system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "TELL_S", 0.05)
    told: list[str] = []
    holder = f"process {os.getpid()} on {socket.gethostname()}, publishing, since 20"
    advice = "" if file_system == "locks" else f"; if it no longer runs, remove {tmp_path / LOCK}"
    with (
        folder_lock(tmp_path, "publishing"),
        pytest.raises(KitoError, match="is in use by") as caught,
        folder_lock(tmp_path, "merging", wait_s=0.2, tell=told.append),
    ):
        raise AssertionError("both have the lock")
    assert holder in str(caught.value)
    assert str(caught.value).endswith(f"or name another directory{advice}")
    [message] = told
    assert message.startswith(f"waiting for {tmp_path}, which is in use by {holder}")
    assert message.endswith(advice)


def test_what_a_holder_writes_cannot_reach_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "TELL_S", 0.0)
    with folder_lock(tmp_path, "\x1b[31m::error::\nx"), pytest.raises(KitoError) as caught:  # noqa: SIM117
        with folder_lock(tmp_path, "merging", wait_s=0.1):
            pass
    for text in (str(caught.value), capfd.readouterr().err.removesuffix("\n")):
        assert text.isprintable()
        assert "process" in text


HOLD = """
import pathlib, sys
from kito.export.lock import folder_lock
with folder_lock(pathlib.Path(sys.argv[1]), "a test"):
    print(flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(KitoError), folder_lock(tmp_path, "a test", wait_s=0.05):
            pass
        other.kill()
        other.wait()
        assert (tmp_path / LOCK).exists()
        with folder_lock(tmp_path, "a test", wait_s=0.05):
            pass
    assert not (tmp_path / LOCK).exists()


@posix
@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_something_else_of_that_name_is_neither_followed_nor_removed(
    tmp_path: Path, what: str
) -> None:
    victim, path = tmp_path / "victim", tmp_path / LOCK
    victim.write_text("precious")
    make: dict[str, Any] = {
        "link": lambda: path.symlink_to(victim),
        "pipe": lambda: os.mkfifo(path),
        "directory": path.mkdir,
    }
    make[what]()
    with pytest.raises(KitoError, match="is not a regular file"), folder_lock(tmp_path, "a test"):
        pass
    assert victim.read_text() == "precious"
    assert os.path.lexists(path)


@posix
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_each_way_to_have_no_locks_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    no_locks(monkeypatch, code)
    with folder_lock(tmp_path, "a test"), pytest.raises(KitoError):  # noqa: SIM117
        with folder_lock(tmp_path, "a test", wait_s=0.05):
            pass
