"""``kito-manifest.json`` and ``SHA256SUMS``: which files of a folder were proved, and how.

The manifest lists each file with its model, format, size, digest, the figures of its model's
checks, and when, with which versions and of which commit it was proved; ``SHA256SUMS`` is what
``sha256sum -c`` reads.

What changes them is in :mod:`kito.export.publishing`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kito.errors import KitoError, counted, describe
from kito.export.files import sha256
from kito.export.formats.names import FORMAT_NAMES

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
            problems.append(f"{path.name}: is not listed in the manifest")
    return problems + _check_sums(folder, {x["file"]: x["sha256"] for x in entries})


def file_problems(folder: Path, entry: Mapping[str, Any]) -> list[str]:
    """What is wrong with the file of one entry; empty where it is what was proved.

    Raises:
        OSError: the file cannot be read.
    """
    path, info = folder / entry["file"], FORMAT_NAMES.get(entry["format"])
    if info is None or entry["file"] != entry["model"] + info.suffix:
        return [f"is not the file name of model '{entry['model']}' in format '{entry['format']}'"]
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
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [f"{SUMS}: cannot be read ({error})"]
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
        return _checked_entries(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise KitoError(
            f"there is no {MANIFEST} in {folder}; pytest --kito-check --kito-artifacts writes one"
        ) from None
    except KitoError as error:
        raise KitoError(f"the manifest {path} is invalid: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KitoError(f"the manifest {path} is invalid: {describe(error)}") from error


def _checked_entries(manifest: Any) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = manifest["files"]
    if manifest["schema_version"] != 1:
        raise KitoError(f"schema_version is {manifest['schema_version']!r}, 1 is expected")
    if not isinstance(entries, list):
        raise KitoError("files is not a list")
    if len({entry["file"] for entry in entries}) != len(entries):
        raise KitoError("it lists a file twice")
    for entry in entries:
        if not entry.keys() >= _FIELDS.keys():
            raise KitoError(f"an entry lacks {', '.join(sorted(_FIELDS.keys() - entry.keys()))}")
        for key, of_type in _FIELDS.items():
            if type(entry[key]) is not of_type:
                raise KitoError(f"{key} is {entry[key]!r}, of another type than {of_type.__name__}")
        if not _is_plain(entry["file"]):
            raise KitoError(f"{entry['file']!r} is not a plain file name")
    return entries


def _is_plain(name: str) -> bool:
    """Whether a name stays inside its folder, on any system, and fits on one line."""
    return name.isprintable() and not name.startswith(".") and not set(name) & set("/\\:")
