"""Writes the first files of a repository: all of them or none, and never over one that is there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kito.errors import KitoError
from pytest_kito.config.starter.builders import find_builders
from pytest_kito.config.starter.companions import TEST, WORKFLOW, test_text, workflow
from pytest_kito.config.starter.find import find_models
from pytest_kito.config.starter.kito_yaml import kito_yaml

CONFIG = Path("kito.yaml")


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: the paths of the files, relative to the directory.
        models: the names of the models that kito.yaml declares; none where it was there before.
        offered: the import paths of functions that it offers in comments.
    """

    files: tuple[Path, ...]
    models: tuple[str, ...]
    offered: tuple[str, ...]


def write_starter(
    directory: Path, *, with_workflow: bool = False, with_test: bool = False
) -> Written:
    """Write ``kito.yaml`` for the models below a directory, and on request what goes with it.

    A ``kito.yaml`` that is there stays as it is, where something else is requested.

    Args:
        directory: the repository.
        with_workflow: also write :data:`WORKFLOW`.
        with_test: also write :data:`TEST`.

    Raises:
        KitoError: one of the files is there already, or there is nothing to declare; nothing is
            written then.
        OSError: a file cannot be written; none is left then.
    """
    texts: dict[Path, str] = {}
    if with_workflow:
        texts[WORKFLOW] = workflow(directory, with_test)
    if with_test:
        texts[TEST] = test_text((), ())
    declared = bool(texts) and (directory / CONFIG).exists()
    wanted = [*texts] if declared else [CONFIG, *texts]
    present = [path for path in wanted if (directory / path).exists()]
    if present:
        raise _exists(directory, present)
    if declared:
        _write(directory, texts)
        return Written(tuple(wanted), (), ())
    starter = kito_yaml(find_models(directory), find_builders(directory))
    if with_test:
        texts[TEST] = test_text(starter.models, starter.modules)
    _write(directory, {CONFIG: starter.text, **texts})
    return Written(tuple(wanted), starter.models, starter.offered)


def _write(directory: Path, texts: dict[Path, str]) -> None:
    """Write new files; if that fails, remove them, and the folders that were made for them."""
    made: list[Path] = []
    try:
        for name, text in texts.items():
            path = directory / name
            missing = [x for x in path.parents if not x.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                made.append(folder)
            with _created(directory, name) as file:
                made.append(path)
                file.write(text.encode())
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # of a folder that is used by now
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _created(directory: Path, name: Path) -> BinaryIO:
    try:
        return (directory / name).open("xb")
    except FileExistsError:
        raise _exists(directory, [name]) from None


def _exists(directory: Path, names: list[Path]) -> KitoError:
    there = ", ".join(str(directory / name) for name in names)
    verb = "exists" if len(names) == 1 else "exist"
    return KitoError(
        f"{there} {verb} already; kito init overwrites nothing, and has written nothing: rename "
        "what is there"
    )
