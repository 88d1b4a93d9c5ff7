"""Temporary files and folders beside their targets, and the removal of those left behind.

They stand on their target's file system, so that a rename puts them in place. Names cannot be
guessed, and a file is only ever created, so nothing that was planted is followed or overwritten.
Each is locked for as long as its process works on it: what is not locked was left behind by a
process that was killed, and the next one removes it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from kito.export.lock import LOCK, is_at, take

_NAME = re.compile(rf"\.kito-tmp-[0-9a-f]{{16}}|{re.escape(LOCK)}")
_MAX_AGE_S = 7 * 24 * 3600
"""Where the file system has no locks, what is older than this was left behind."""
_TRIES = 100
# On Windows, files would keep what such a mode sets when they get their place elsewhere.
_FOLDER_MODE = 0o700 if os.name == "posix" else 0o777
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def _new_name() -> str:
    return f".kito-tmp-{secrets.token_hex(8)}"


def create_file(folder: Path, mode: int) -> tuple[int, Path]:
    """Create a temporary file in ``folder`` and lock it.

    Args:
        folder: an existing folder.
        mode: the permissions, of which the process's umask removes some.

    Returns:
        The descriptor, open for writing and locked until it is closed, and the path.

    Raises:
        OSError: the folder cannot be written.
    """
    for _ in range(_TRIES):
        path = folder / _new_name()
        descriptor = _lock_new(path, mode)
        if descriptor is not None:
            return descriptor, path
    raise FileExistsError(errno.EEXIST, "no temporary file can be kept there", str(folder))


class ScratchFolder:
    """A temporary folder, locked until it is closed; only its owner can read it.

    Raises:
        OSError: the parent cannot be written.
    """

    def __init__(self, parent: Path) -> None:
        self._descriptor: int | None = None
        for _ in range(_TRIES):
            self.path = parent / _new_name()
            self.path.mkdir(mode=_FOLDER_MODE)
            try:
                with suppress(FileNotFoundError):  # taken for a folder that was left behind
                    self._descriptor = _lock_new(self.path / LOCK, 0o600)
            except BaseException:  # also an interrupt: nobody could close it any more
                self.close()
                raise
            if self._descriptor is not None:
                return
        raise FileExistsError(errno.EEXIST, "no temporary folder can be kept there", str(parent))

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def sweep(folder: Path) -> None:
    """Remove the temporary files, folders and locks in ``folder`` that nobody holds any more.

    One that cannot be removed stays.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_abandoned(Path(entry.path))


def _lock_new(path: Path, mode: int) -> int | None:
    """Create and lock a file; None if another process took it for one that was left behind."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
    except FileExistsError:
        return None
    if take(descriptor) is False or not is_at(descriptor, path):
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned(path: Path) -> None:
    status = path.lstat()
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and not stat.S_ISREG(status.st_mode):
        return
    locked = path / LOCK if is_folder else path
    # A folder whose process was killed before it made the file is locked by making it.
    create = os.O_CREAT if is_folder else 0
    descriptor = os.open(locked, os.O_RDWR | create | _FLAGS, 0o600)
    try:
        # On Windows a file is closed, and so no longer locked, shortly before it is renamed.
        taken = take(descriptor) if is_folder or sys.platform != "win32" else None
        if taken is None:
            taken = time.time() - status.st_mtime > _MAX_AGE_S
        if not taken or not is_at(descriptor, locked):
            return
        if sys.platform != "win32":
            _remove(path, is_folder)
    finally:
        os.close(descriptor)
    if sys.platform == "win32":  # an open file cannot be removed there
        _remove(path, is_folder)


def _remove(path: Path, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
