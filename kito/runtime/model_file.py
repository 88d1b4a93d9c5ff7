"""What a model file holds, read before Keras builds anything of it: its configuration, its sizes.

A ``.keras`` file is a zip archive of ``config.json``, ``metadata.json`` and ``model.weights.h5``;
an ``.h5`` file holds the configuration as an attribute. Importable without Keras.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kito.errors import shown
from kito.runtime.bounded import check_expansion, open_zip, read_json, zip_member
from kito.runtime.h5_heap import check_heaps

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_DEPTH = 200
"""The most levels of a configuration; a model inside of a model takes a few."""
_FREE_ARRAYS = 64_000_000
"""Bytes of arrays that may be in a file of any size: Keras holds several copies of one."""
_LOCAL_HEADER = 30
"""Bytes of the fixed part of a zip member's own header; its last four are the sizes of the rest."""


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Attributes:
        config: the configuration of the model, plain values; None if the file has none.
        compiled: whether it holds how the model was compiled.
        keras_version: the version of Keras that wrote it; empty if unknown.
        weight_bytes: the size of its arrays.
    """

    config: Any
    compiled: bool
    keras_version: str
    weight_bytes: int


def read_model_file(path: Path, *, arrays: bool = True) -> ModelFile:
    """Read what a ``.keras`` or ``.h5`` file holds, without its weights.

    Args:
        path: the file.
        arrays: add up the sizes of its arrays, and refuse such as lie in another file or claim far
            more than they hold. Otherwise ``weight_bytes`` is the size of what holds them.

    Raises:
        OSError: it cannot be read.
        ValueError: it is broken, holds or claims far more than its size allows, or refers to other
            files.
    """
    if path.suffix == ".h5":
        with path.open("rb") as file:
            return _read_h5(file, path.stat().st_size, arrays)
    with open_zip(path) as archive:
        names = set(archive.namelist())
        if climbing := [x for x in names if x.startswith("/") or ".." in x.split("/")]:
            raise ValueError(f"its member '{shown(climbing[0])}' would lie outside of it")
        config = (
            read_json(zip_member(archive, _CONFIG), finite=False, depth=_DEPTH)
            if _CONFIG in names
            else None
        )
        metadata = read_json(zip_member(archive, _METADATA)) if _METADATA in names else None
        version = metadata.get("keras_version", "") if isinstance(metadata, dict) else ""
        weights = 0
        if _WEIGHTS in names:
            weights = _weights(archive, path) if arrays else archive.getinfo(_WEIGHTS).file_size
        compiled = isinstance(config, dict) and config.get("compile_config") is not None
        return ModelFile(config, compiled, str(version), weights)


def classes(config: Any) -> Iterator[tuple[str, str]]:
    """The module and the name, perhaps registered, of each class that a configuration names."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            module, name = value.get("module"), value.get("registered_name")
            name = name or value.get("class_name")
            if isinstance(module, str) and isinstance(name, str):
                yield module, name
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


@dataclass(frozen=True)
class FileInput:
    """An input of a model, as its file states it.

    Attributes:
        shape: the sizes without the batch; None is an open one.
        dtype: the name of its dtype; empty if unknown.
    """

    shape: tuple[int | None, ...]
    dtype: str = ""


def file_inputs(config: Any) -> dict[str, FileInput]:
    """The inputs by name that a model's configuration states; empty if unknown.

    The one input of a Sequential without an input layer has an empty name.
    """
    match config:
        case {"config": {"layers": [*layers]}}:
            pass
        case _:
            layers = []
    shapes: dict[str, tuple[Any, Any]] = {}
    for layer in layers:
        match layer:
            case {"class_name": "InputLayer", "config": {"batch_shape": [_, *shape], **inner}}:
                shapes[str(inner.get("name", len(shapes)))] = shape, inner.get("dtype")
            case {"class_name": "InputLayer", "config": {"batch_input_shape": [_, *shape], **rest}}:
                shapes[str(rest.get("name", len(shapes)))] = shape, rest.get("dtype")
    match config:
        case {"build_config": {"input_shape": [_, *shape]}} if not shapes:
            shapes = {"": (shape, None)}
    if not all(is_shape(shape) for shape, _ in shapes.values()):
        return {}
    return {
        name: FileInput(tuple(shape), dtype if isinstance(dtype, str) else "")
        for name, (shape, dtype) in shapes.items()
    }


def is_shape(sizes: Sequence[Any]) -> bool:
    """Whether these are sizes of a shape, 1 or more, or None for an open one."""
    return all(size is None or (type(size) is int and size > 0) for size in sizes)


def check_weights(path: Path) -> None:
    """Refuse a file of weights that claims more than its size allows, or refers to other files.

    Raises:
        OSError: it cannot be read.
        ValueError: it is broken, or as said above. A file of another kind is not looked at.
    """
    if path.suffix == ".keras":
        read_model_file(path)
    elif path.suffix == ".h5":
        with path.open("rb") as file:
            _array_bytes(file, path.stat().st_size)


def _read_h5(file: IO[bytes], size: int, arrays: bool) -> ModelFile:
    import h5py  # a dependency of Keras; it does not import Keras

    if arrays:
        weights = _array_bytes(file, size)
    else:
        check_heaps(file)
        weights = size
    try:
        with h5py.File(file) as content:
            config, version = (
                value if isinstance(value, bytes) else str(value).encode()
                for value in (content.attrs.get(x, "") for x in ("model_config", "keras_version"))
            )
            compiled = "training_config" in content.attrs
    except Exception as error:  # of HDF5, on a broken file
        raise ValueError(f"its configuration cannot be read ({shown(error)})") from error
    return ModelFile(
        read_json(config, finite=False, depth=_DEPTH) if config else None,
        compiled,
        version.decode(errors="replace"),
        weights,
    )


def _weights(archive: zipfile.ZipFile, path: Path) -> int:
    """The size of the arrays in the weights of a ``.keras`` file."""
    member = archive.getinfo(_WEIGHTS)
    if member.compress_type != zipfile.ZIP_STORED:
        data = zip_member(archive, _WEIGHTS, member.file_size)
        return _array_bytes(io.BytesIO(data), member.compress_size)
    with path.open("rb") as file:
        # The archive's own file objects read all that lies between two places.
        file.seek(member.header_offset + _LOCAL_HEADER - 4)
        sizes = file.read(4)
        if len(sizes) < 4:
            raise ValueError(f"its member {_WEIGHTS!r} lies outside of the file")
        start = file.tell() + int.from_bytes(sizes[:2], "little")
        start += int.from_bytes(sizes[2:], "little")
        return _array_bytes(_Part(file, start, member.file_size), member.file_size)


def _array_bytes(file: Any, size: int) -> int:
    """The size in bytes of all arrays of an HDF5 file, from their shapes.

    Args:
        file: the open file.
        size: how many bytes of storage it has.

    Raises:
        ValueError: it is broken, its arrays are far larger than it, or it refers to other files.
    """
    import h5py

    total = 0

    def add(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Group):
            links = (item.get(key, getlink=True) for key in item)
            if not all(isinstance(link, h5py.HardLink) for link in links):
                raise _Outside
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise _Outside
            total += math.prod(item.shape or ()) * item.dtype.itemsize

    check_heaps(file)
    try:
        with h5py.File(file) as content:
            add("", content)
            content.visititems(add)
    except _Outside:
        raise ValueError("it holds a link, or an array that lies in another file") from None
    except Exception as error:  # of HDF5, on a broken file
        raise ValueError(f"it is not a file of HDF5 ({shown(error)})") from error
    check_expansion(total, size, _FREE_ARRAYS)
    return total


class _Outside(Exception):
    """Something in a file lies outside of it."""


class _Part(io.RawIOBase):
    """A part of an open file as a file of its own, for reading."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See :class:`io.RawIOBase`."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        """See :class:`io.RawIOBase`."""
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), max(self._size - self._at, 0)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
