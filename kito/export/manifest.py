"""``kito-manifest.json`` and ``SHA256SUMS``: which files of a folder were proved, and how.

The manifest lists each file with its model, format, size, digest, the figures of its model's
checks, and when and with which versions it was proved; ``SHA256SUMS`` is what ``sha256sum -c``
reads.

A process that is killed while it publishes must not leave a manifest that lies. So entries go out
before their files are replaced (:func:`withdraw`), and come in once those are in their places.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kito.errors import KitoError
from kito.export.files import copy_file, sha256, to_json, write_text
from kito.export.formats.names import FORMAT_NAMES

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
            ``created`` is now and ``versions`` are this process' where an entry does not tell.
        withdrawn: models that no longer pass: their older entries go, so that :func:`verify`
            reports their older files.

    Raises:
        KitoError: there is a manifest that is none.
        OSError: a file cannot be written.
    """
    known = read_manifest(folder) if _exists(folder) else []
    files = {entry["file"]: dict(entry) for entry in known}
    gone = set(withdrawn)
    files = {name: entry for name, entry in files.items() if entry["model"] not in gone}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    for entry in entries:
        proof = {"created": created} if "versions" in entry else _proof(created)
        files[entry["file"]] = {**proof, **entry}
    _write(folder, [files[name] for name in sorted(files) if (folder / name).is_file()])


def withdraw(folder: Path, models: Iterable[str]) -> None:
    """Take the entries of models out, before their files are replaced.

    Raises:
        KitoError: there is a manifest that is none.
        OSError: a file cannot be written.
    """
    gone = set(models)
    entries = read_manifest(folder) if _exists(folder) else []
    if any(entry["model"] in gone for entry in entries):
        _write(folder, [entry for entry in entries if entry["model"] not in gone])


def merge_folders(folders: Sequence[Path], target: Path) -> list[str]:
    """Copy the artifacts of several folders, each verified, into one with one manifest.

    A folder without a manifest and without artifacts, as a shard of which no model passed leaves
    it, adds nothing.

    Args:
        folders: folders of artifacts, such as those of shards.
        target: the folder to make, or to fill: it must hold no manifest.

    Returns:
        The names of the files, sorted.

    Raises:
        KitoError: a folder is not as it was proved, the same name is two different files, no folder
            holds a manifest, or ``target`` holds one.
        OSError: a file cannot be read or written.
    """
    if _exists(target):
        raise KitoError(f"{target} holds a {MANIFEST} already; name an empty folder")
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for folder in folders:
        for entry in _verified(folder):
            name = entry["file"]
            other, known = found.setdefault(name, (folder, entry))
            if known["sha256"] != entry["sha256"] or known["model"] != entry["model"]:
                raise KitoError(
                    f"{name} in {other} and {name} in {folder} are different files; merge the "
                    "folders of different shards of one run"
                )
    if not found:
        raise KitoError(f"none of the folders holds a {MANIFEST} that lists files")
    target.mkdir(parents=True, exist_ok=True)
    for name, (folder, entry) in found.items():
        copy_file(folder / name, target / name)
        if sha256(target / name) != entry["sha256"]:
            raise KitoError(f"{folder / name} changed while it was copied; run again")
    _write(target, [found[name][1] for name in sorted(found)])
    return sorted(found)


def _verified(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder in which all is as it was proved."""
    if not folder.is_dir():
        raise KitoError(f"there is no folder {folder}")
    if not _exists(folder) and not any(x.name.endswith(_suffixes()) for x in folder.iterdir()):
        return []
    problems = verify(folder)
    if problems:
        raise KitoError(f"{folder} is not as it was proved: {'; '.join(problems)}")
    return read_manifest(folder)


def _proof(created: str) -> dict[str, Any]:
    """When, and with which versions, this process proved something."""
    import keras  # which takes seconds to import: only where the entry does not tell

    versions = {
        "kito": version("pytest-kito"),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    return {"created": created, "versions": versions}


def _write(folder: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """The manifest last: a folder without one is not done."""
    write_text(folder / SUMS, "".join(f"{x['sha256']}  {x['file']}\n" for x in entries))
    write_text(folder / MANIFEST, to_json({"schema_version": 1, "files": entries}) + "\n")


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
    for path in sorted(folder.iterdir()):
        proved = path.name in names or path.name in (MANIFEST, SUMS)
        ours = path.name.endswith(_suffixes()) or path.name.startswith(models)
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


def _exists(folder: Path) -> bool:
    return (folder / MANIFEST).exists()


def _suffixes() -> tuple[str, ...]:
    return tuple(kind.suffix for kind in FORMAT_NAMES.values())


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
