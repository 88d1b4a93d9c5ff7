"""``kito init``: a first kito.yaml for the model files of a directory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from kito.errors import KitoError

_HEAD = """\
# What `pytest --kito-check` must find true of the models of this repository.
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
_SKIPPED = {"node_modules", "site-packages", "venv"}
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)


def write_starter(directory: Path) -> tuple[Path, int]:
    """Write ``kito.yaml`` into ``directory``, one model per ``.keras`` or ``.h5`` file below it.

    Returns:
        The file, and how many models it declares.

    Raises:
        KitoError: there is one already, or there are no model files.
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
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise KitoError(f"{path} is there already; nothing is overwritten") from None
    return path, len(sources)


def _model_files(directory: Path) -> Iterable[Path]:
    for path in directory.rglob("*"):
        parts = path.relative_to(directory).parts
        hidden = any(part.startswith(".") or part in _SKIPPED for part in parts)
        weights = path.name.endswith(".weights.h5")
        # What --kito-artifacts wrote is reduced already.
        artifact = (path.parent / "kito-manifest.json").exists()
        wanted = path.suffix in (".keras", ".h5") and not (hidden or weights or artifact)
        if wanted and path.is_file():
            yield path


def _name(stem: str, names: set[str]) -> str:
    base = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).lstrip(".-")[:90] or "model"
    base = _RESERVED.sub(r"\g<0>_", base, count=1) if _RESERVED.match(base) else base
    name, number = base, 2
    while name.lower() in names:
        name, number = f"{base}_{number}", number + 1
    names.add(name.lower())
    return name


def _quoted(source: str) -> str:
    # A string of JSON is one of YAML, with what breaks a line escaped.
    return source if re.fullmatch(r"[\w./-]+", source) else json.dumps(source, ensure_ascii=False)
