"""Reproducible archives of folders: the same content gives the same bytes."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path


def pack(folder: Path, path: Path, name: str) -> None:
    """Write ``folder`` into the tar.gz file ``path``, under the name ``name``.

    Order, times, owners and modes do not depend on when and where it is written.
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    # Weights hardly compress: the lowest level is as small, and several times as fast.
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for item in (folder, *sorted(folder.rglob("*"))):
            inside = name if item == folder else f"{name}/{item.relative_to(folder).as_posix()}"
            archive.add(item, inside, recursive=False, filter=plain)


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an archive of one folder; returns that folder.

    Raises:
        tarfile.TarError: the file is not an archive, or would write outside of ``folder``.
        ValueError: the archive holds something other than one folder.
    """
    with tarfile.open(path, "r:gz") as archive:
        archive.extractall(folder, filter="data")
    inside = list(folder.iterdir())
    if len(inside) != 1 or not inside[0].is_dir():
        raise ValueError(f"{path.name} holds {len(inside)} entries where one folder is expected")
    return inside[0]
