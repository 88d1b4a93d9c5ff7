"""A disk that is full or read-only: a change is refused, and the folder is as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kito.export.manifest import verify

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

# The full disk of those who may mount none; Python ignores the signal of that limit, SIGXFSZ.
LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""
FILL = """
try:
    with (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
except OSError as error:
    assert error.errno == errno.ENOSPC
"""
DO = """
import errno, os, sys
from pathlib import Path
import killed
from kito.export.files import write_text
from kito.export.scratch import ScratchFolder

folder, what = Path(sys.argv[1]), sys.argv[2]
if what == "publish":
    staging = ScratchFolder(folder)
    outcome = killed.session(staging.path, "2")
{trouble}
try:
    if what == "publish":
        killed.publish(outcome, folder)
    elif what == "merge":
        killed.merge(folder)
    else:
        write_text(folder / "report.json", "x" * 100_000)
except OSError as error:
    sys.stdout.write(errno.errorcode[error.errno])
finally:
    if what == "publish":
        staging.close()
"""


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def attempt(folder: Path, what: str, trouble: str = "") -> str:
    """Do the work in another process; returns the error that it met, or an empty text."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", DO.format(trouble=trouble), str(folder), what]
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


@pytest.fixture(autouse=True)
def _no_loss_of_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is flushed to disk is tested elsewhere; here it would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def prepare(folder: Path) -> dict[str, bytes]:
    """A folder that was published into, with a report, and two that are to be merged in it."""
    import killed

    killed.finish(folder, "1")
    killed.finish(folder / "one", "1")
    killed.finish(folder / "two", "3")
    return content(folder)


# Nothing can be written, or short files only.
@pytest.mark.parametrize("limit", [0, 2500])
@pytest.mark.parametrize("what", ["publish", "merge", "report"])
def test_a_file_that_cannot_grow(tmp_path: Path, what: str, limit: int) -> None:
    before = prepare(tmp_path)
    assert attempt(tmp_path, what, LIMIT.format(size=limit)) == "EFBIG"
    assert content(tmp_path) == before
    assert verify(tmp_path) == []
    assert attempt(tmp_path, what) == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB of its own."""
    yield from mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=256k", "none")


def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", *arguments, str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("what", ["publish", "merge", "report"])
def test_a_full_disk(small_disk: Path, what: str) -> None:
    before = prepare(small_disk)
    assert attempt(small_disk, what, FILL) == "ENOSPC"
    (small_disk / "filler").unlink()
    assert content(small_disk) == before
    assert attempt(small_disk, what) == ""


@pytest.mark.parametrize("what", ["merge", "report"])
def test_a_read_only_directory(tmp_path: Path, what: str) -> None:
    before = prepare(tmp_path)
    read_only = mounted(tmp_path / "again", "--bind", "-o", "ro", str(tmp_path))
    folder = next(read_only)
    try:
        assert attempt(folder, what) == "EROFS"
    finally:
        read_only.close()
        (tmp_path / "again").rmdir()
    assert content(tmp_path) == before


@pytest.mark.parametrize("nth", range(8))
def test_a_directory_that_becomes_read_only_while_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Whatever rename into the folder fails, those before it are undone."""
    import killed

    from kito.export import transaction
    from kito.export.scratch import ScratchFolder

    killed.finish(tmp_path, "1")
    before, count, real = content(tmp_path), 0, transaction.replace

    def replace(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count == nth + 1:
            raise OSError(30, "Read-only file system")
        real(source, target)

    monkeypatch.setattr(transaction, "replace", replace)
    with ScratchFolder(tmp_path) as staging:
        outcome = killed.session(staging, "4")
        if nth == 7:  # two lists without the old entries, three files, two lists with the new ones
            killed.publish(outcome, tmp_path)
        else:
            with pytest.raises(OSError, match="Read-only"):
                killed.publish(outcome, tmp_path)
    if nth < 7:
        assert content(tmp_path) == before
    assert verify(tmp_path) == []
    assert count == min(nth + 1, 7)
