"""Files written whole or not at all, their digests, and JSON that every reader accepts.

A file is written under a temporary name and then renamed. A link is kept: the file that it names is
replaced. What is no file but takes data, such as ``/dev/null``, ``/dev/stdout`` or a named pipe,
is written to and never replaced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kito.export.scratch import create_file, sweep

_BLOCK = 1 << 20
_NEW_MODE = 0o666
"""What a new file may be, less what the process's umask removes."""


@dataclass(frozen=True)
class _Target:
    """Where to write.

    Attributes:
        path: the path, links resolved.
        mode: the permissions of the file that is there; None where there is none.
        stream: whether it takes data as it comes, and cannot be replaced.
        descriptor: this process's own descriptor of it, where the standard output or the standard
            error leads there; a second one would have a position of its own in the same file.
    """

    path: Path
    mode: int | None = None
    stream: bool = False
    descriptor: int | None = None


def resolve(path: Path) -> Path:
    """The path of the file to replace: that of a link's file for a link, else ``path``.

    Raises:
        OSError: it is a directory, or something else that cannot take a file's content.
    """
    return _target(path).path


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing; once written, it survives a loss of power.

    Temporary files that killed processes left behind in its folder are removed.

    Raises:
        OSError: the file cannot be written; an older one is unchanged.
    """
    _write(_target(path), [text.encode("utf-8")])


def copy_file(source: Path, target: Path) -> None:
    """Copy a whole file or nothing; once copied, it survives a loss of power.

    Raises:
        OSError: the file cannot be read or written; an older target is unchanged.
    """
    with source.open("rb") as data:
        _write(_target(target), iter(lambda: data.read(_BLOCK), b""))


def install_file(source: Path, target: Path) -> None:
    """Move a finished file of the same file system to its place, as :func:`copy_file` would do.

    Raises:
        OSError: the file cannot be written; an older target is unchanged.
    """
    found = _target(target)
    if found.stream:
        with source.open("rb") as data:
            _write(found, iter(lambda: data.read(_BLOCK), b""))
        source.unlink()
        return
    sync(source)
    replace(source, found.path)
    sync_folder(found.path.parent)


def replace(source: Path, target: Path) -> None:
    """Rename a file to ``target``; a file that is there gives it its permissions.

    Neither the file's content nor the rename is flushed to disk here.
    """
    if os.name == "posix":
        with suppress(OSError):  # there is none, or the file system has no permissions
            status = target.lstat()
            if stat.S_ISREG(status.st_mode):
                source.chmod(_permissions(status))
    source.replace(target)


def sync(path: Path) -> None:
    """Flush the content of a file to disk, so that a rename never precedes it.

    Raises:
        OSError: the file cannot be opened or written.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, so that a rename survives a loss of power.

    Windows cannot, and some file systems cannot either: then nothing is done.
    """
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _target(path: Path) -> _Target:
    try:
        status = path.stat()
    except FileNotFoundError:  # no file, or a link to none
        return _Target(Path(os.path.realpath(path)) if path.is_symlink() else path)
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), status):
                return _Target(path, stream=True, descriptor=descriptor)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
        return _Target(path, stream=True)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory; name a file", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a socket or a disk; name a file", str(path))
    resolved = Path(os.path.realpath(path)) if path.is_symlink() else path
    return _Target(resolved, _permissions(status))


def _permissions(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o777


def _write(target: _Target, blocks: Iterable[bytes]) -> None:
    if target.stream:
        _write_through(target, blocks)
        return
    folder = target.path.parent
    sweep(folder)
    # Nobody may read by way of the temporary file what the file itself would not let them read.
    descriptor, temporary = create_file(folder, _NEW_MODE if target.mode is None else 0o600)
    # The open file is locked; so it stays open until it has its name, where the system allows it.
    keep_open = os.name == "posix"
    try:
        with open(descriptor, "wb", closefd=not keep_open) as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(descriptor)
        replace(temporary, target.path)
        sync_folder(folder)
    finally:
        if keep_open:
            os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _write_through(target: _Target, blocks: Iterable[bytes]) -> None:
    if target.descriptor is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        descriptor = os.dup(target.descriptor)
    else:
        descriptor = os.open(target.path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    with open(descriptor, "wb") as file:
        file.writelines(blocks)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> str:
    """Plain data as indented JSON. JSON has no NaN and no infinity: they become null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
