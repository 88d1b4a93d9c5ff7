"""Reproducible archives of folders: the same content gives the same bytes."""

from __future__ import annotations

import gzip
import shutil
import tarfile
from pathlib import Path
from typing import IO

from kito.errors import shown
from kito.runtime.bounded import FREE_BYTES, MOST_EXPANSION

_MOST_MEMBERS = 20_000


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

    An archive holds what :func:`pack` writes, and nothing else: folders and plain files, each once,
    by names that stay inside. So nothing is written outside of ``folder``, on any system and with
    any version of Python, and no link can lead there.

    Args:
        path: the archive.
        folder: an empty folder, which nobody else writes into.

    Raises:
        tarfile.TarError: the file is not an archive.
        ValueError: the archive holds something else than one folder of files, or far more bytes
            than its size allows.
        OSError: a file cannot be written.
    """
    most = max(FREE_BYTES, MOST_EXPANSION * path.stat().st_size)
    with (
        path.open("rb") as file,
        _Limited(file, most) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|") as archive,
    ):
        for number, member in enumerate(archive):
            if number == _MOST_MEMBERS:
                raise ValueError(f"it holds more than {_MOST_MEMBERS} members")
            _write(archive, member, folder)
    inside = list(folder.iterdir())
    if len(inside) != 1 or not inside[0].is_dir():
        raise ValueError(f"{path.name} holds {len(inside)} entries where one folder is expected")
    return inside[0]


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a member below ``folder``, which holds nothing but earlier members."""
    parts = member.name.split("/")
    if not all(map(_is_plain, parts)):
        raise ValueError(f"its member '{shown(member.name)}' has no plain name")
    target = folder.joinpath(*parts)
    # Neither links nor devices, nor files with holes, whose size is not the size of their content.
    kinds = (tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.AREGTYPE)
    if member.type not in kinds or member.sparse or member.size < 0:
        raise ValueError(f"its member '{shown(member.name)}' is neither a file nor a folder")
    try:
        if member.isdir():
            target.mkdir(parents=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            source = archive.extractfile(member)
            assert source is not None  # it is a file
            shutil.copyfileobj(source, copy)
    except FileExistsError:
        raise ValueError(f"it holds '{shown(member.name)}' twice") from None


def _is_plain(part: str) -> bool:
    """Whether a part of a name means itself, on any system."""
    return (
        part.isprintable()
        and part not in ("", ".", "..")
        and not set(part) & set("\\:")
        and len(part.encode()) <= 255
    )


class _Limited(gzip.GzipFile):
    """A packed stream that ends with an error where it unpacks to more than ``most`` bytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._left = most

    def read(self, size: int | None = -1) -> bytes:
        """See :class:`io.RawIOBase`."""
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MOST_EXPANSION} times its size")
        return data
