"""``kito-manifest.json`` and ``SHA256SUMS``: which files of a folder were proved, and how.

The manifest lists each file with its model, format, size, digest, the figures of its model's
checks, and when and with which versions it was proved; ``SHA256SUMS`` is what ``sha256sum -c``
reads.

A process that is killed while it publishes must not leave a wrong manifest. So entries are removed
before their files are replaced (:func:`withdraw`), and added when the new files are in place.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kito.errors import KitoError, counted, describe, shown
from kito.export.files import copy_file, sha256, to_json, write_text
from kito.export.formats.names import FORMAT_NAMES
from kito.runtime.bounded import read_file, read_json

MANIFEST, SUMS = "kito-manifest.json", "SHA256SUMS"
_FIELDS = {"model": str, "format": str, "file": str, "bytes": int, "sha256": str}
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def update_manifest(
    folder: Path, entries: Iterable[Mapping[str, Any]], withdrawn: Iterable[str] = ()
) -> None:
    """Enter files into the manifest of ``folder`` and into its ``SHA256SUMS``.

    An entry of the same file name is replaced; entries of files that no longer exist are removed.
    Each entry has the time and the versions of its own proof, since one folder can hold the files
    of several runs.

    Args:
        folder: where the files are.
        entries: ``model``, ``format``, ``file``, ``bytes``, ``sha256`` and more of each file. An
            entry without ``versions`` gets those of this process, one without ``created`` the
            current time.
        withdrawn: models that no longer pass. Their older entries are removed, so that
            :func:`verify` reports their older files.

    Raises:
        KitoError: the folder's manifest is invalid.
        OSError: a file cannot be written.
    """
    models = set(withdrawn)
    older = read_manifest(folder) if _exists(folder) else []
    files = {entry["file"]: dict(entry) for entry in older if entry["model"] not in models}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    for entry in entries:
        proof = {"created": created} if "versions" in entry else _proof(created)
        files[entry["file"]] = {**proof, **entry}
    _write(folder, [files[name] for name in sorted(files) if (folder / name).is_file()])


def withdraw(folder: Path, models: Iterable[str]) -> None:
    """Remove the entries of models from the manifest, before their files are replaced.

    Raises:
        KitoError: the folder's manifest is invalid.
        OSError: a file cannot be written.
    """
    names = set(models)
    entries = read_manifest(folder) if _exists(folder) else []
    if any(entry["model"] in names for entry in entries):
        _write(folder, [entry for entry in entries if entry["model"] not in names])


def merge_folders(folders: Sequence[Path], target: Path) -> list[str]:
    """Copy the artifacts of several folders, each verified, into one folder with one manifest.

    A folder without a manifest and without artifacts adds nothing: a shard in which no model passed
    leaves such a folder.

    Args:
        folders: folders of artifacts, such as those of shards.
        target: the folder to create or to fill. It must not hold a manifest.

    Returns:
        The names of the files, sorted.

    Raises:
        KitoError: a folder does not match its manifest, two different files have the same name, no
            folder holds a manifest, or ``target`` holds one.
        OSError: a file cannot be read or written.
    """
    if _exists(target):
        raise KitoError(f"{target} holds a {MANIFEST} already; name an empty folder")
    sources: dict[str, tuple[Path, dict[str, Any]]] = {}
    for folder in folders:
        for entry in _verified(folder):
            name = entry["file"]
            first_folder, first = sources.setdefault(name, (folder, entry))
            if first["sha256"] != entry["sha256"] or first["model"] != entry["model"]:
                raise KitoError(
                    f"{name} in {first_folder} and {name} in {folder} are different files; merge "
                    "the folders of different shards of one run"
                )
    if not sources:
        raise KitoError(f"none of the folders holds a {MANIFEST} that lists files")
    target.mkdir(parents=True, exist_ok=True)
    for name, (folder, entry) in sources.items():
        copy_file(folder / name, target / name)
        if sha256(target / name) != entry["sha256"]:
            raise KitoError(f"{folder / name} changed while it was copied; run again")
    _write(target, [sources[name][1] for name in sorted(sources)])
    return sorted(sources)


def _verified(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder that matches its manifest."""
    if not folder.is_dir():
        raise KitoError(f"there is no folder {folder}")
    if not _exists(folder) and not any(x.name.endswith(_suffixes()) for x in folder.iterdir()):
        return []
    problems = verify(folder)
    if problems:
        raise KitoError(f"{folder} is not as it was proved: {'; '.join(problems)}")
    return read_manifest(folder)


def _proof(created: str) -> dict[str, Any]:
    """The time and the versions of a proof that this process made."""
    import keras  # takes seconds: imported only where the entry has no versions

    versions = {
        "kito": version("pytest-kito"),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    return {"created": created, "versions": versions}


def _write(folder: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write both files, the manifest last: a folder without a manifest is not finished."""
    write_text(folder / SUMS, "".join(f"{x['sha256']}  {x['file']}\n" for x in entries))
    write_text(folder / MANIFEST, to_json({"schema_version": 1, "files": entries}) + "\n")


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
        ours = path.name.endswith(_suffixes()) or path.name.startswith(models)
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


def _exists(folder: Path) -> bool:
    return (folder / MANIFEST).exists()


def _suffixes() -> tuple[str, ...]:
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
