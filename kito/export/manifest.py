"""``kito-manifest.json`` and ``SHA256SUMS``: which files of a folder were proved, and how.

The manifest lists each file with its model, format, size, digest, the figures of its model's
checks, and when, with which versions and of which commit it was proved; ``SHA256SUMS`` is what
``sha256sum -c`` reads.

What changes them is in :mod:`kito.export.publishing`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kito.errors import KitoError, counted, describe, shown
from kito.export.files import sha256
from kito.export.formats.names import FORMAT_NAMES
from kito.runtime.bounded import read_file, read_json

MANIFEST, SUMS = "kito-manifest.json", "SHA256SUMS"
_FIELDS = {"model": str, "format": str, "file": str, "bytes": int, "sha256": str}
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def verify(folder: Path) -> list[str]:
    """Check the files of a folder against its manifest and its ``SHA256SUMS``.

    Returns:
        What is wrong, one line each; empty where every file is what was proved.

    Raises:
        KitoError: there is no manifest, or it is invalid.
    """
    entries = read_manifest(folder)
    problems = [] if entries else [f"{MANIFEST}: lists no files, so nothing was proved"]
    problems += [f"{x}: is a link" for x in (MANIFEST, SUMS) if (folder / x).is_symlink()]
    for entry in entries:
        problems += [f"{entry['file']}: {problem}" for problem in file_problems(folder, entry)]
    names = {entry["file"] for entry in entries}
    models = tuple(f"{entry['model']}." for entry in entries)
    for path in sorted(folder.iterdir()):
        proved = path.name in names or path.name in (MANIFEST, SUMS)
        ours = path.name.endswith(artifact_suffixes()) or path.name.startswith(models)
        if ours and not proved:
            problems.append(f"{shown(path.name)}: is not listed in the manifest")
    return problems + _check_sums(folder, {x["file"]: x["sha256"] for x in entries})


def file_problems(folder: Path, entry: Mapping[str, Any]) -> list[str]:
    """What is wrong with the file of one entry; empty where it is what was proved.

    Raises:
        OSError: the file cannot be read.
    """
    path, info = folder / entry["file"], FORMAT_NAMES.get(entry["format"])
    if info is None or entry["file"] != entry["model"] + info.suffix:
        model, known = shown(entry["model"]), shown(entry["format"])
        return [f"is not the file name of model '{model}' in format '{known}'"]
    if path.is_symlink():
        return ["is a link, so its content is outside of this directory"]
    if not path.is_file():
        return ["is missing"]
    if path.stat().st_size != entry["bytes"]:
        return [f"has {counted(path.stat().st_size, 'byte')}, {entry['bytes']} were proved"]
    if sha256(path) != entry["sha256"]:
        return ["is not what was proved, its SHA-256 differs"]
    return []


def _check_sums(folder: Path, proved: Mapping[str, str]) -> list[str]:
    try:
        if (folder / SUMS).exists() and not (folder / SUMS).is_file():
            raise ValueError("it is not a file")
        lines = read_file(folder / SUMS).decode().splitlines()
    except (OSError, ValueError) as error:
        return [f"{SUMS}: cannot be read ({shown(error)})"]
    matches = [_SUM_LINE.fullmatch(line) for line in lines]
    sums = {match[2]: match[1] for match in matches if match}
    if None in matches or sums != dict(proved):
        return [f"{SUMS}: does not agree with {MANIFEST}"]
    return []


def has_manifest(folder: Path) -> bool:
    """Whether a folder holds a manifest, valid or not."""
    return (folder / MANIFEST).exists()


def artifact_suffixes() -> tuple[str, ...]:
    """How the names of artifacts end."""
    return tuple(info.suffix for info in FORMAT_NAMES.values())


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The entries of the manifest of ``folder``. The fields that every entry has are checked.

    Raises:
        KitoError: there is no manifest, or it is invalid.
    """
    path = folder / MANIFEST
    try:
        if path.exists() and not path.is_file():
            raise KitoError("it is not a file")  # reading a pipe or a device could never end
        return _checked_entries(read_json(read_file(path)))
    except FileNotFoundError:
        raise KitoError(
            f"there is no {MANIFEST} in {folder}; pytest --kito-check --kito-artifacts writes one"
        ) from None
    except KitoError as error:
        raise KitoError(f"the manifest {path} is invalid: {error}") from error
    except (OSError, ValueError) as error:
        raise KitoError(f"the manifest {path} is invalid: {describe(error)}") from error


def _checked_entries(manifest: Any) -> list[dict[str, Any]]:
    if not isinstance(manifest, dict) or not manifest.keys() >= {"schema_version", "files"}:
        raise KitoError("it is not a mapping with schema_version and files")
    entries: list[dict[str, Any]] = manifest["files"]
    if manifest["schema_version"] != 1:
        raise KitoError(f"schema_version is {_short(manifest['schema_version'])}, 1 is expected")
    if not isinstance(entries, list):
        raise KitoError("files is not a list")
    for entry in entries:
        if not isinstance(entry, dict):
            raise KitoError("an entry of files is not a mapping")
        if not entry.keys() >= _FIELDS.keys():
            raise KitoError(f"an entry lacks {', '.join(sorted(_FIELDS.keys() - entry.keys()))}")
        for key, of_type in _FIELDS.items():
            value = entry[key]
            if type(value) is not of_type:
                raise KitoError(
                    f"{key} is {_short(value)}, of another type than {of_type.__name__}"
                )
        for key in ("file", "model"):
            if not _is_plain(entry[key]):
                raise KitoError(f"{_short(entry[key])} is not a plain {key} name")
    if len({entry["file"] for entry in entries}) != len(entries):
        raise KitoError("it lists a file twice")
    return entries


def _short(value: Any) -> str:
    """A value of a file for a message."""
    return repr(shown(value)) if isinstance(value, str) else shown(repr(value)[:1000])


def _is_plain(name: str) -> bool:
    """Whether a name stays inside its folder, on any system, and fits on one line."""
    return (
        name.isprintable()
        and 0 < len(name.encode()) <= 255
        and not name.startswith(".")
        and not set(name) & set("/\\:")
    )
