"""``kito init``: writes a first kito.yaml for the model files of a directory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kito.errors import KitoError, shown
from kito.export.manifest import MANIFEST
from kito.runtime.import_path import MODEL_FILES
from pytest_kito.config.names import avoid_reserved

_HEAD = """\
# The models of this repository that `pytest --kito-check` checks.
version: 1

defaults:
  inputs: {samples: 32}          # random samples; `data: FILE.npz` compares on your own

models:
"""
_MODEL = """\
  {name}:
    source: {source}
    # weights, tolerance, reduction, artifacts: see the documentation of kito.yaml
    speedup: {{device: cpu, batch_size: 1}}     # measured only; add `min: 1.2` to require it
"""
_SKIPPED_FOLDERS = {"node_modules", "site-packages", "venv"}


def write_starter(directory: Path) -> tuple[Path, int]:
    """Write ``kito.yaml`` into ``directory``, one model per ``.keras`` or ``.h5`` file below it.

    Returns:
        The path of the file, and how many models it declares.

    Raises:
        KitoError: the file exists already, or there are no model files.
        OSError: the file cannot be written.
    """
    path = directory / "kito.yaml"
    sources = sorted(_model_files(directory))
    if not sources:
        raise KitoError(
            f"there are no .keras or .h5 files below {directory}: save a model first, or declare "
            "one by an import path, source: package.module:callable"
        )
    text, names = _HEAD, set[str]()
    for source in sources:
        name = _name(source.stem, names)
        text += _MODEL.format(name=name, source=_quoted(source.relative_to(directory).as_posix()))
    _write_new(path, text.encode())
    return path, len(sources)


def _write_new(path: Path, data: bytes) -> None:
    try:
        file = path.open("xb")
    except FileExistsError:
        raise KitoError(f"{path} exists already; it is not overwritten") from None
    try:
        with file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)  # half of a file would declare half of the models
        raise


def _model_files(directory: Path) -> Iterable[Path]:
    for path in directory.rglob("*"):
        parts = path.relative_to(directory).parts
        skipped = any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in parts)
        weights = path.name.endswith(".weights.h5")
        # The models that --kito-artifacts wrote are reduced already.
        artifact = (path.parent / MANIFEST).exists()
        is_model = path.suffix in MODEL_FILES and not (skipped or weights or artifact)
        if is_model and path.is_file():
            yield path


def _name(stem: str, names: set[str]) -> str:
    """A new valid name from the stem of a file; its lower case form is added to ``names``."""
    base = avoid_reserved(re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).lstrip(".-")[:90] or "model")
    name, number = base, 2
    while name.lower() in names:
        name, number = f"{base}_{number}", number + 1
    names.add(name.lower())
    return name


def _quoted(source: str) -> str:
    """A path as a YAML string.

    Raises:
        KitoError: it is not UTF-8, as a kito.yaml is.
    """
    if re.fullmatch(r"[\w./-]+", source, re.ASCII):
        return source
    try:
        source.encode()
    except UnicodeEncodeError:
        raise KitoError(
            f"the file name '{shown(source)}' is not UTF-8, so no kito.yaml can hold it; rename it"
        ) from None
    return '"' + "".join(map(_in_quotes, source)) + '"'


def _in_quotes(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08x}"
