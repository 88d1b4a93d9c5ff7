"""Files written whole or not at all, their digests, and JSON that every reader accepts."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing; once written, it survives a loss of power.

    Temporary files, ``.NAME.PID``, that killed processes left behind are removed.

    Raises:
        OSError: the file cannot be written; an older one is unchanged.
    """
    sweep(path.parent, f".{path.name}.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a whole file or nothing; once copied, it survives a loss of power.

    Raises:
        OSError: the file cannot be read or written; an older target is unchanged.
    """
    sweep(target.parent, f".{target.name}.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        # Not shutil.copyfile: it would follow a link at the temporary name.
        with source.open("rb") as data, temporary.open("xb") as copy:
            while block := data.read(1 << 20):
                copy.write(block)
        sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush the content of a file to disk, so that a rename never precedes it.

    Raises:
        OSError: the file cannot be opened or written.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def leftovers(folder: Path, prefix: str) -> list[Path]:
    """The entries of ``folder`` that killed processes left behind.

    Their names are ``prefix`` and the number of a process that no longer runs, then nothing or
    ``-`` and more. On Windows the result is empty: it has no harmless way to look for a process.
    """
    paths = []
    for path in folder.glob(f"{glob.escape(prefix)}*"):
        match = re.fullmatch(r"(\d+)(?:-.*)?", path.name[len(prefix) :])
        if match and not _alive(int(match[1])):
            paths.append(path)
    return paths


def sweep(folder: Path, prefix: str) -> None:
    """Remove the files that :func:`leftovers` finds; one that cannot be removed stays."""
    for path in leftovers(folder, prefix):
        try:
            path.unlink()
        except OSError:
            continue


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process, or not a valid process number
        return True
    return True


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
