"""Folders as archives whose bytes say nothing but what is in them."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path


def pack(folder: Path, path: Path, name: str) -> None:
    """Write ``folder`` as ``path``, a tar.gz in which it is called ``name``.

    Order, times, owners and modes are always the same.
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    # Weights hardly compress: the lowest level is as good, and several times as fast.
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for each in (folder, *sorted(folder.rglob("*"))):
            inside = name if each == folder else f"{name}/{each.relative_to(folder).as_posix()}"
            archive.add(each, inside, recursive=False, filter=plain)


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an archive of one folder; returns that folder.

    Raises:
        tarfile.TarError: it is no archive, or one that would write elsewhere.
        ValueError: it holds something else than one folder.
    """
    with tarfile.open(path, "r:gz") as archive:
        archive.extractall(folder, filter="data")
    inside = list(folder.iterdir())
    if len(inside) != 1 or not inside[0].is_dir():
        raise ValueError(f"{path.name} holds {len(inside)} things where one folder is expected")
    return inside[0]
