"""``kito-manifest.json`` and ``SHA256SUMS``: which files of a folder were proved, and how.

The manifest lists each file with its model, format, size, digest and the figures of its model's
checks; ``SHA256SUMS`` is what ``sha256sum -c`` reads.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from kito.artifacts import sha256
from kito.errors import KitoError

MANIFEST, SUMS = "kito-manifest.json", "SHA256SUMS"
_KEYS = {"model", "format", "file", "bytes", "sha256"}
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def update_manifest(folder: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Enter files into the manifest of ``folder`` and into its ``SHA256SUMS``.

    An entry of the same file name is replaced; entries of files that are no longer there go.

    Args:
        folder: where the files are.
        entries: for each, ``model``, ``format``, ``file``, ``bytes``, ``sha256``, and more.

    Raises:
        KitoError: there is a manifest that is none.
        OSError: a file cannot be written.
    """
    files = {entry["file"]: dict(entry) for entry in _read(folder)} if _exists(folder) else {}
    files.update((entry["file"], dict(entry)) for entry in entries)
    listed = [files[name] for name in sorted(files) if (folder / name).is_file()]
    manifest = {
        "schema_version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "kito": version("pytest-kito"),
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
        "files": listed,
    }
    _write(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    _write(folder / SUMS, "".join(f"{x['sha256']}  {x['file']}\n" for x in listed))


def verify(folder: Path) -> list[str]:
    """Hold the files of a folder against its manifest and its ``SHA256SUMS``.

    Returns:
        What is wrong, one line each; empty where all is as it was proved.

    Raises:
        KitoError: there is no manifest, or it is none.
    """
    entries = _read(folder)
    problems = []
    for entry in entries:
        name, path = entry["file"], folder / entry["file"]
        if not path.is_file():
            problems.append(f"{name}: is missing")
        elif path.stat().st_size != entry["bytes"]:
            problems.append(f"{name}: {path.stat().st_size} bytes, proved were {entry['bytes']}")
        elif sha256(path) != entry["sha256"]:
            problems.append(f"{name}: is not what was proved, its SHA-256 differs")
    names = {entry["file"] for entry in entries}
    for path in sorted(folder.iterdir()):
        proved = path.name in names or path.name in (MANIFEST, SUMS)
        if not proved and path.name.startswith(tuple(f"{x['model']}." for x in entries)):
            problems.append(f"{path.name}: is no file of the manifest")
    return problems + _check_sums(folder, {x["file"]: x["sha256"] for x in entries})


def _check_sums(folder: Path, proved: Mapping[str, str]) -> list[str]:
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [f"{SUMS}: cannot be read ({error})"]
    matches = [_SUM_LINE.fullmatch(line) for line in lines]
    sums = {match[2]: match[1] for match in matches if match}
    if None in matches or sums != dict(proved):
        return [f"{SUMS}: does not say what {MANIFEST} says"]
    return []


def _exists(folder: Path) -> bool:
    return (folder / MANIFEST).exists()


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / MANIFEST
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        for entry in files:
            if not entry.keys() >= _KEYS:
                raise KeyError(*(_KEYS - entry.keys()))
            if Path(entry["file"]).name != entry["file"] or entry["file"] in (".", ".."):
                raise KitoError(f"{path}: {entry['file']!r} is no plain file name")
    except FileNotFoundError:
        raise KitoError(
            f"there is no {MANIFEST} in {folder}; pytest --kito-check --kito-artifacts writes one"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KitoError(f"{path} is no manifest: {type(error).__name__}: {error}") from error
    return list(files)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
