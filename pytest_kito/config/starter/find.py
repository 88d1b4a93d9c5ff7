"""Finds the models of a repository: files, and data beside them; nothing is loaded or imported."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kito.errors import shown
from kito.export.manifest import MANIFEST
from kito.runtime.bounded import open_zip
from kito.runtime.import_path import MODEL_FILES
from kito.runtime.model_file import FileInput, classes, file_inputs, read_model_file

_SKIPPED_FOLDERS = {"node_modules", "site-packages", "venv", "__pycache__"}
_KNOWN_MODULES = ("keras", "builtins", "keras_hub", "keras_cv", "keras_nlp")
"""The packages whose classes load without ``custom_objects``."""
_MOST_BYTES = 256_000_000
"""The largest arrays that are compared on without being asked: all are held in memory."""


@dataclass(frozen=True)
class FoundModel:
    """A model file.

    Attributes:
        source: its path, relative to the directory, with ``/``.
        unreadable: why it cannot be read, such as a file of Git LFS that is not fetched; or empty.
        inputs: its inputs by name; empty if unknown.
        custom: the classes of the user that it needs, each ``name of module``.
        data: a file of arrays beside it; None without one.
        data_fits: whether the arrays are inputs of the model, by their names and shapes.
    """

    source: str
    unreadable: str = ""
    inputs: Mapping[str, FileInput] = field(default_factory=dict)
    custom: tuple[str, ...] = ()
    data: str | None = None
    data_fits: bool = False


def walk(directory: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders below a directory that may hold its own files, with the names of the files."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(
            x for x in folders if not x.startswith(".") and x not in _SKIPPED_FOLDERS
        )
        yield Path(folder), sorted(x for x in names if not x.startswith("."))


def find_models(directory: Path) -> list[FoundModel]:
    """The ``.keras`` and ``.h5`` files below a directory that hold models, in order of their paths.

    Left out are files of weights, and what ``--kito-artifacts`` wrote: it is reduced already.
    """
    found = []
    for folder, names in walk(directory):
        if MANIFEST in names:
            continue
        arrays = [name for name in names if name.endswith(".npz")]
        for name in names:
            path = folder / name
            is_model = path.suffix in MODEL_FILES and not name.endswith(".weights.h5")
            if is_model and path.is_file() and (model := _read(path, directory, arrays)):
                found.append(model)
    return sorted(found, key=lambda model: Path(model.source))


def _read(path: Path, directory: Path, arrays: list[str]) -> FoundModel | None:
    """What the file says of itself; None if it is HDF5 that holds no model."""
    source = path.relative_to(directory).as_posix()
    try:
        content = read_model_file(path, arrays=False)
    except (OSError, ValueError) as error:
        return FoundModel(source, shown(error) or "it cannot be read")
    if content.config is None and path.suffix == ".h5":
        return None
    inputs = file_inputs(content.config)
    custom = {
        f"{shown(name, 60)} of {shown(module, 60)}": None
        for module, name in classes(content.config)
        if module.partition(".")[0] not in _KNOWN_MODULES
    }
    data, fits = _data(path, inputs, arrays)
    beside = None if data is None else data.relative_to(directory).as_posix()
    return FoundModel(source, "", inputs, tuple(custom), beside, fits)


def _data(
    path: Path, inputs: Mapping[str, FileInput], names: list[str]
) -> tuple[Path | None, bool]:
    """The file of arrays beside a model, and whether its arrays fit the inputs of the model."""
    # First those named like the model.
    paths = [path.parent / x for x in sorted(names, key=lambda x: not x.startswith(path.stem))]
    fitting = [x for x in paths if inputs and fits(_headers(x), inputs)]
    return next(iter([*fitting, *paths]), None), bool(fitting)


Header = tuple[tuple[int, ...], str, int]
"""Shape, kind of the dtype, bytes."""


def _headers(path: Path) -> dict[str, Header]:
    """What an ``.npz`` file says of its arrays, by name; empty if it cannot be read."""
    from numpy.lib import format as npy

    headers: dict[str, Header] = {}
    try:
        with open_zip(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    read = {
                        (1, 0): npy.read_array_header_1_0,
                        (2, 0): npy.read_array_header_2_0,
                    }[npy.read_magic(file)]
                    shape, _, dtype = read(file)
                size = math.prod(shape) * dtype.itemsize
                headers[member.removesuffix(".npy")] = tuple(shape), dtype.kind, size
    except Exception:  # zipfile and NumPy raise much on broken files
        return {}
    return headers


def fits(headers: Mapping[str, Header], inputs: Mapping[str, FileInput]) -> bool:
    """Whether arrays can be the inputs of a model, with samples enough to compare them."""
    if len(headers) == len(inputs) == 1:
        headers = dict(zip(inputs, headers.values(), strict=True))
    if set(headers) != set(inputs):
        return False
    counts = {shape[0] if shape else 0 for shape, _, _ in headers.values()}
    return (
        len(counts) == 1
        and min(counts) > 1
        and sum(size for _, _, size in headers.values()) <= _MOST_BYTES
        and all(_fits_one(headers[name], given) for name, given in inputs.items())
    )


def _fits_one(header: Header, given: FileInput) -> bool:
    sizes, kind, _ = header
    whole = given.dtype.startswith(("int", "uint", "bool"))
    return (
        kind in ("biu" if whole else "biuf")
        and len(sizes) == len(given.shape) + 1
        and all(want in (None, size) for want, size in zip(given.shape, sizes[1:], strict=True))
    )
