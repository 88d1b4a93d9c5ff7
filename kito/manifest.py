"""``kito-manifest.json`` and ``SHA256SUMS``: which files of a folder were proved, and how.

The manifest lists each file with its model, format, size, digest, the figures of its model's
checks, and when and with which versions it was proved; ``SHA256SUMS`` is what ``sha256sum -c``
reads.
"""

from __future__ import annotations

import json
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
from kito.files import to_json, write_text
from kito.formats.names import FORMAT_NAMES

MANIFEST, SUMS = "kito-manifest.json", "SHA256SUMS"
_KEYS = {"model": str, "format": str, "file": str, "bytes": int, "sha256": str}
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def update_manifest(
    folder: Path, entries: Iterable[Mapping[str, Any]], withdrawn: Iterable[str] = ()
) -> None:
    """Enter files into the manifest of ``folder`` and into its ``SHA256SUMS``.

    An entry of the same file name is replaced; entries of files that are no longer there go. Each
    entry bears the time and the versions of its own proof: one folder can hold several runs'.

    Args:
        folder: where the files are.
        entries: for each, ``model``, ``format``, ``file``, ``bytes``, ``sha256``, and more.
        withdrawn: models that no longer pass: their older entries go, so that :func:`verify`
            reports their older files.

    Raises:
        KitoError: there is a manifest that is none.
        OSError: a file cannot be written.
    """
    known = read_manifest(folder) if (folder / MANIFEST).exists() else []
    files = {entry["file"]: dict(entry) for entry in known}
    gone = set(withdrawn)
    files = {name: entry for name, entry in files.items() if entry["model"] not in gone}
    proof = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "kito": version("pytest-kito"),
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
    }
    files.update((entry["file"], {**entry, **proof}) for entry in entries)
    listed = [files[name] for name in sorted(files) if (folder / name).is_file()]
    write_text(folder / MANIFEST, to_json({"schema_version": 1, "files": listed}) + "\n")
    write_text(folder / SUMS, "".join(f"{x['sha256']}  {x['file']}\n" for x in listed))


def verify(folder: Path) -> list[str]:
    """Hold the files of a folder against its manifest and its ``SHA256SUMS``.

    Returns:
        What is wrong, one line each; empty where all is as it was proved.

    Raises:
        KitoError: there is no manifest, or it is none.
    """
    entries = read_manifest(folder)
    problems = [] if entries else [f"{MANIFEST}: lists no files, so nothing was proved"]
    problems += [f"{x}: is a link" for x in (MANIFEST, SUMS) if (folder / x).is_symlink()]
    for entry in entries:
        problems += [f"{entry['file']}: {problem}" for problem in file_problems(folder, entry)]
    names = {entry["file"] for entry in entries}
    models = tuple(f"{entry['model']}." for entry in entries)
    suffixes = tuple(kind.suffix for kind in FORMAT_NAMES.values())
    for path in sorted(folder.iterdir()):
        proved = path.name in names or path.name in (MANIFEST, SUMS)
        ours = path.name.endswith(suffixes) or path.name.startswith(models)
        if ours and not proved:
            problems.append(f"{path.name}: is no file of the manifest")
    return problems + _check_sums(folder, {x["file"]: x["sha256"] for x in entries})


def file_problems(folder: Path, entry: Mapping[str, Any]) -> list[str]:
    """What is wrong with the file of one entry; empty where it is what was proved.

    Raises:
        OSError: it cannot be read.
    """
    path, kind = folder / entry["file"], FORMAT_NAMES.get(entry["format"])
    if kind is None or entry["file"] != entry["model"] + kind.suffix:
        return [f"is no name of a file of model '{entry['model']}' in format '{entry['format']}'"]
    if path.is_symlink():
        return ["is a link, so its content is not of this directory"]
    if not path.is_file():
        return ["is missing"]
    if path.stat().st_size != entry["bytes"]:
        return [f"{path.stat().st_size} bytes, proved were {entry['bytes']}"]
    if sha256(path) != entry["sha256"]:
        return ["is not what was proved, its SHA-256 differs"]
    return []


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


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The entries of the manifest of ``folder``, the fields that all have of the right types.

    Raises:
        KitoError: there is no manifest, or it is none.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = manifest["files"]
        if manifest["schema_version"] != 1 or not isinstance(files, list):
            raise KitoError(f"{path} is no manifest of schema_version 1")
        if len({entry["file"] for entry in files}) != len(files):
            raise KitoError(f"{path} lists a file twice")
        for entry in files:
            if not entry.keys() >= _KEYS.keys():
                raise KeyError(*(_KEYS.keys() - entry.keys()))
            for key, kind in _KEYS.items():
                if type(entry[key]) is not kind:
                    raise TypeError(f"{key} is {entry[key]!r}")
            if not _is_plain(entry["file"]):
                raise KitoError(f"{path}: {entry['file']!r} is no plain file name")
    except FileNotFoundError:
        raise KitoError(
            f"there is no {MANIFEST} in {folder}; pytest --kito-check --kito-artifacts writes one"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KitoError(f"{path} is no manifest: {type(error).__name__}: {error}") from error
    return list(files)


def _is_plain(name: str) -> bool:
    """Whether a name leads nowhere but into the folder, on any system, and fits on one line."""
    return name.isprintable() and not name.startswith(".") and not set(name) & set("/\\:")
