"""Locks that say who is alive: the system releases them when their process ends, however it ends.

A process number says nothing to a process in another container. A lock does, wherever both see
the same file.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from kito.errors import KitoError

LOCK = ".kito-lock"
"""The name of the file that is locked. In a folder of artifacts it exists only while it is."""
TELL_S, WAIT_S = 5.0, 300.0
_POLL_S = 0.02
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

if sys.platform == "win32":
    import msvcrt

    def take(descriptor: int) -> bool | None:
        """Lock an open file if nobody else has; None where the file system has no locks.

        The lock is held until the descriptor is closed or the process ends.
        """
        try:
            # Far behind the content: others cannot read the bytes that are locked.
            os.lseek(descriptor, 1 << 30, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return False if error.errno in (errno.EACCES, errno.EDEADLK) else None
        return True

else:
    import fcntl

    def take(descriptor: int) -> bool | None:
        """Lock an open file if nobody else has; None where the file system has no locks.

        The lock is held until the descriptor is closed or the process ends.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # ENOLCK, ENOTSUP, ENOSYS and others: network file systems differ
            return None
        return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name; it may have been removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _to_stderr(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"kito: {text}\n")
        sys.stderr.flush()


@contextmanager
def folder_lock(
    folder: Path,
    purpose: str,
    wait_s: float = WAIT_S,
    tell: Callable[[str], None] = _to_stderr,
) -> Iterator[None]:
    """Keep other processes from changing ``folder`` for as long as the context lasts.

    The lock is one on the file ``.kito-lock`` in the folder, which is removed at the end. Where the
    file system has no locks, the file's existence is the lock: then a process that was killed
    leaves it behind, and the message of the others says what to remove.

    Args:
        folder: an existing folder.
        purpose: what the lock is for, shown to who waits for it.
        wait_s: seconds to wait for another process.
        tell: called once, with a message, if it takes longer than a few seconds.

    Raises:
        KitoError: another process holds the lock for longer than ``wait_s``.
        OSError: the folder cannot be written.
    """
    path = folder / LOCK
    descriptor = _wait(path, wait_s, tell)
    try:
        with suppress(OSError):  # a full disk, or a file of another user
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.ftruncate(descriptor, 0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            holder = f"process {os.getpid()} on {socket.gethostname()}, {purpose}, since {now}"
            os.write(descriptor, holder.encode())
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(descriptor)
        with suppress(OSError):
            path.unlink()
        if sys.platform != "win32":  # removed while it is locked: nobody else can hold this file
            os.close(descriptor)


def _wait(path: Path, wait_s: float, tell: Callable[[str], None]) -> int:
    """The descriptor of the locked file."""
    start, told = time.monotonic(), False
    while True:
        opened = _open(path)
        if opened is not None:
            descriptor, created = opened
            try:
                taken = take(descriptor)
                if (taken or (taken is None and created)) and is_at(descriptor, path):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            holder = "" if taken else _holder(descriptor)
            os.close(descriptor)
            waited = time.monotonic() - start
            advice = "" if taken is False else f"; if it no longer runs, remove {path}"
            if not taken and waited > wait_s:
                raise KitoError(
                    f"{path.parent} is in use by {holder}, for more than {wait_s:.0f} s; run again "
                    f"when it has finished, or name another directory{advice}"
                )
            if not taken and waited > TELL_S and not told:
                told = True
                tell(f"waiting for {path.parent}, which is in use by {holder}{advice}")
            if taken:  # of a file that was removed meanwhile
                continue
        time.sleep(_POLL_S)


def _open(path: Path) -> tuple[int, bool] | None:
    """The open file, and whether it was created; None if it was removed meanwhile."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o666), True
    except FileExistsError:
        pass
    # One look: between two, the file may be removed and created again.
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise KitoError(f"{path} is not a regular file, so it cannot be locked; remove it")
    try:
        return os.open(path, os.O_RDWR | _NO_FOLLOW), False
    except FileNotFoundError:
        return None
    except PermissionError:  # another user's: it can be locked all the same
        return os.open(path, os.O_RDONLY | _NO_FOLLOW), False


def _holder(descriptor: int) -> str:
    """Who holds the lock, as the file says; anyone can have written that."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, 200).decode("utf-8", "replace")
    except OSError:
        text = ""
    return "".join(x for x in text if x.isprintable()) or "another process"
