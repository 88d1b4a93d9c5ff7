"""Puts proved files into a folder and enters them into its manifest, as one change.

Processes that change one folder wait for each other, and one that is asked to end does so before
the change or after it. If a file cannot be written, the folder is as it was.

A process can also be killed, or lose its power, in the middle. It must not leave a wrong manifest.
So entries are removed before their files are replaced, and added when the new files are in place.
"""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kito.errors import KitoError
from kito.export.files import copy_file, sha256, sync, to_json, write_text
from kito.export.formats.names import FORMAT_NAMES
from kito.export.lock import folder_lock
from kito.export.manifest import (
    MANIFEST,
    SUMS,
    artifact_suffixes,
    has_manifest,
    read_manifest,
    verify,
)
from kito.export.origin import common
from kito.export.scratch import ScratchFolder, sweep
from kito.export.signals import OrderlyEnd
from kito.export.transaction import replace_all

Entry = Mapping[str, Any]


def update_manifest(
    folder: Path,
    entries: Iterable[Entry],
    withdrawn: Iterable[str] = (),
    staged: Mapping[str, Path] | None = None,
) -> dict[str, str]:
    """Move files into ``folder``, and enter them into its manifest and its ``SHA256SUMS``.

    An entry of the same file name is replaced; entries of files that no longer exist are removed.
    Each entry has the time and the versions of its own proof, since one folder can hold the files
    of several runs.

    Args:
        folder: where the files are to be.
        entries: ``model``, ``format``, ``file``, ``bytes``, ``sha256`` and more of each file. An
            entry without ``versions`` gets those of this process, one without ``created`` the
            current time.
        withdrawn: models whose older entries are removed, such as those that no longer pass:
            :func:`kito.export.manifest.verify` reports their older files.
        staged: by name, files of the same file system that are to be moved into ``folder``. Files
            of other entries are there already.

    Returns:
        By the name of a staged file, what is wrong with it: it is not what its entry says. Nothing
        of its model is entered or moved, and the model is withdrawn.

    Raises:
        KitoError: the folder's manifest is invalid, or another process does not leave the folder.
        OSError: a file cannot be written; the folder is as before.
    """
    entries, models, files = list(entries), set(withdrawn), dict(staged or {})
    with (
        OrderlyEnd() as end,
        folder_lock(folder, "publishing"),
        ScratchFolder(folder) as scratch,
    ):
        sweep(folder)
        older = read_manifest(folder) if has_manifest(folder) else []
        problems = _claim(entries, files, scratch)
        faulty = {entry["model"] for entry in entries if entry["file"] in problems}
        models |= faulty
        entries = [entry for entry in entries if entry["model"] not in faulty]
        moved = {x["file"]: files[x["file"]] for x in entries if x["file"] in files}
        replaced = {entry["file"] for entry in entries}
        kept = [x for x in older if x["model"] not in models and x["file"] not in replaced]
        listed = {entry["file"]: entry for entry in kept} | {
            entry["file"]: _completed(entry) for entry in entries
        }
        present = [listed[x] for x in sorted(listed) if x in moved or (folder / x).is_file()]
        first = _listing(kept, scratch / "first") if kept != older else {}
        last = _listing(present, scratch / "last") if present or has_manifest(folder) else {}
        replace_all(folder, [first, moved, last], _folder(scratch / "older"), end)
    return problems


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
            folder holds a manifest, ``target`` holds one, or another process does not leave it.
        OSError: a file cannot be read or written; ``target`` holds what it held before.
    """
    if has_manifest(target):
        sweep(target)
        raise _filled(target)
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
    with OrderlyEnd() as end, folder_lock(target, "merging"), ScratchFolder(target) as scratch:
        sweep(target)
        if has_manifest(target):
            raise _filled(target)
        copies = {name: _folder(scratch / "copies") / name for name in sources}
        for name, (folder, entry) in sources.items():
            copy_file(folder / name, copies[name])
            if sha256(copies[name]) != entry["sha256"]:
                raise KitoError(f"{folder / name} changed while it was copied; run again")
        last = _listing([sources[name][1] for name in sorted(sources)], scratch / "last")
        replace_all(target, [copies, last], _folder(scratch / "older"), end)
    return sorted(sources)


def _filled(target: Path) -> KitoError:
    return KitoError(f"{target} holds a {MANIFEST} already; name an empty folder")


def _verified(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder that matches its manifest."""
    if not folder.is_dir():
        raise KitoError(f"there is no folder {folder}")
    suffixes = artifact_suffixes()
    if not has_manifest(folder) and not any(x.name.endswith(suffixes) for x in folder.iterdir()):
        return []
    problems = verify(folder)
    if problems:
        raise KitoError(f"{folder} is not as it was proved: {'; '.join(problems)}")
    return read_manifest(folder)


def _claim(entries: Sequence[Entry], files: dict[str, Path], scratch: Path) -> dict[str, str]:
    """Move staged files to where nobody else looks for them, and read them once more.

    The paths in ``files`` change. Returns what is wrong, by the name of the file.
    """
    problems = {}
    claimed = _folder(scratch / "claimed")
    for entry in entries:
        name = entry["file"]
        if name in files:
            path = claimed / name
            try:
                os.replace(files[name], path)
                problem = _changed(path, entry)
            except OSError as error:
                problem = f"it cannot be read any more ({error.strerror})"
            files[name] = path
            if problem:
                problems[name] = problem
    return problems


def _changed(path: Path, entry: Entry) -> str:
    """How a file differs from its entry; empty where it does not. What is whole is flushed."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "a link took its place after it was proved"
    if not stat.S_ISREG(status.st_mode):
        return "something that is no file took its place after it was proved"
    if status.st_nlink > 1:
        return "it has a second name, under which it can be changed after it was proved"
    if status.st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
        return "it was changed after it was proved"
    sync(path)
    return ""


def _completed(entry: Entry) -> dict[str, Any]:
    """An entry with the time, the versions and what is known of its format."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    proof = {"created": created} if "versions" in entry else _proof(created)
    info = FORMAT_NAMES.get(entry["format"])
    known = {} if info is None else {"reproducible": info.deterministic}
    return {**proof, **known, **entry}


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


def _listing(entries: Sequence[Entry], folder: Path) -> dict[str, Path]:
    """Write both lists; the manifest comes last: a folder without a manifest is not finished."""
    folder.mkdir()
    sums = "".join(f"{entry['sha256']}  {entry['file']}\n" for entry in entries)
    manifest = {"schema_version": 1, **common(entries), "files": entries}
    write_text(folder / SUMS, sums)
    write_text(folder / MANIFEST, to_json(manifest) + "\n")
    return {SUMS: folder / SUMS, MANIFEST: folder / MANIFEST}


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path
