"""Temporary files and folders: what is removed, and what is left alone."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from kito.export import lock, scratch
from kito.export.scratch import ScratchFolder, create_file, sweep

pytestmark = pytest.mark.skipif(os.name != "posix", reason="closes files that are open")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def abandon(folder: Path) -> set[str]:
    """Leave behind a file and a folder, as a killed process does."""
    descriptor, path = create_file(folder, 0o600)
    os.close(descriptor)
    held = ScratchFolder(folder)
    (held.path / "half").write_text("half")
    assert held._descriptor is not None
    os.close(held._descriptor)
    (folder / lock.LOCK).write_text("")
    return {path.name, held.path.name, lock.LOCK}


def test_what_nobody_holds_is_removed(tmp_path: Path) -> None:
    descriptor, path = create_file(tmp_path, 0o600)
    with ScratchFolder(tmp_path) as folder:
        left = abandon(tmp_path)
        assert names(tmp_path) == {path.name, folder.name} | left
        sweep(tmp_path)
        assert names(tmp_path) == {path.name, folder.name}
        with lock.folder_lock(tmp_path, "a test"):
            sweep(tmp_path)
            assert names(tmp_path) == {path.name, folder.name, lock.LOCK}
    os.close(descriptor)
    sweep(tmp_path)
    assert names(tmp_path) == set()


def test_a_folder_whose_process_was_killed_before_it_was_locked(tmp_path: Path) -> None:
    (tmp_path / f".kito-tmp-{'0' * 16}").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == set()


def test_names_of_others_and_links_stay(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    for name, target in (("0" * 16, "outside"), ("1" * 16, "outside/file")):
        (tmp_path / f".kito-tmp-{name}").symlink_to(target)
    (tmp_path / ".kito-tmp-mine").mkdir()
    inside = tmp_path / f".kito-tmp-{'2' * 16}"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before - {inside.name}
    assert (outside / "file").read_text() == "precious"


def test_without_locks_only_what_is_old_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    left = abandon(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == left
    later = time.time() + scratch._MAX_AGE_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    sweep(tmp_path)
    assert names(tmp_path) == set()


def test_a_name_that_a_sweep_takes_meanwhile_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may sweep between the creation of a file or folder and its lock."""
    take, swept = scratch.take, []

    def late(descriptor: int) -> bool | None:
        if not swept:
            swept.append(True)
            sweep(tmp_path)
        return take(descriptor)

    monkeypatch.setattr(scratch, "take", late)
    descriptor, path = create_file(tmp_path, 0o600)
    os.close(descriptor)
    assert names(tmp_path) == {path.name}
    swept.clear()
    with ScratchFolder(tmp_path) as folder:
        assert names(folder) == {lock.LOCK}
