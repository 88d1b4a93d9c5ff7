"""Several files of one folder replaced together: all of them, or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kito.export.files import replace, sync_folder
from kito.export.signals import OrderlyEnd


def replace_all(
    folder: Path, stages: Sequence[Mapping[str, Path]], scratch: Path, end: OrderlyEnd
) -> None:
    """Rename finished files to their places in ``folder``, stage by stage.

    If one cannot be renamed, those before it are undone. A process that is killed in between leaves
    the first stages done; each is flushed to disk before the next. Links are replaced.

    Args:
        folder: the folder, which no other process changes meanwhile.
        stages: in each, files by the names that they get. All are on the folder's file system.
        scratch: an empty folder there, for the older files.
        end: from here on it lets signals wait.

    Raises:
        OSError: a file cannot be renamed; the folder is as before.
    """
    end.hold()
    done: list[tuple[Path, Path | None]] = []
    try:
        for stage in stages:
            for name, source in stage.items():
                target = folder / name
                done.append((target, _keep(target, scratch / str(len(done)))))
                replace(source, target)
            sync_folder(folder)
    except BaseException:
        for target, older in reversed(done):
            with suppress(OSError):
                if older is None:
                    target.unlink()
                else:
                    os.replace(older, target)
        with suppress(OSError):
            sync_folder(folder)
        raise


def _keep(target: Path, copy: Path) -> Path | None:
    """Give an older file a second name; returns that, or None if there is no older file."""
    if target.is_dir() and not target.is_symlink():
        raise IsADirectoryError(errno.EISDIR, "a directory has the name of a file", str(target))
    try:
        os.link(target, copy, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except (OSError, NotImplementedError):  # a file system without such links
        os.replace(target, copy)
    return copy
