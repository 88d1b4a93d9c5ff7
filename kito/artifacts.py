"""Artifacts: files that can be published, each proved by what will load it.

A file is written under a temporary name, read back from disk, compared again with the original
model, and only then renamed: what bears the artifact's name has passed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kito.comparison import Tolerance, compare
from kito.errors import KitoError
from kito.files import sha256, sync
from kito.importing import describe
from kito.inputs import Inputs


class ArtifactDiffersError(KitoError):
    """What was written, loaded again, gives other outputs than the original."""


@dataclass(frozen=True)
class ArtifactFile:
    """A file that was written and proved.

    Attributes:
        format: see :data:`FORMATS`.
        file: its name in the folder.
        bytes: its size.
        sha256: its digest, in hexadecimal.
        max_abs: largest absolute difference of the reloaded model's outputs from the original's.
    """

    format: str
    file: str
    bytes: int
    sha256: str
    max_abs: float


@dataclass(frozen=True)
class _Format:
    suffix: str
    write: Callable[[Any, Path], None]
    read: Callable[[Path, Mapping[str, Any] | None], Any]


def _write_keras(model: Any, path: Path) -> None:
    model.save(path)


def _read_keras(path: Path, custom_objects: Mapping[str, Any] | None) -> Any:
    return keras.models.load_model(path, custom_objects=custom_objects, compile=False)


_FORMATS = {"keras": _Format(".keras", _write_keras, _read_keras)}
FORMATS: tuple[str, ...] = tuple(_FORMATS)
"""The formats that this version writes."""


def write_artifact(
    model: Any,
    original: Any,
    inputs: Inputs,
    folder: Path,
    name: str,
    artifact_format: str = "keras",
    *,
    custom_objects: Mapping[str, Any] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    outputs: Mapping[str, Tolerance] | None = None,
    reference: str | None = None,
) -> ArtifactFile:
    """Write ``model`` as ``folder/name`` with the suffix of its format, and prove the file.

    Args:
        model: the reduced model.
        original: what its outputs are held against.
        inputs: to compare on.
        folder: an existing folder. A file of the same name is replaced only by one that passed.
        name: file name without suffix.
        artifact_format: one of :data:`FORMATS`.
        custom_objects: what the model needs to be loaded, by name.
        rtol: see :func:`kito.compare`, as the following.
        atol: see :func:`kito.compare`.
        outputs: see :func:`kito.compare`.
        reference: see :func:`kito.compare`.

    Raises:
        ArtifactDiffersError: what was loaded again gives other outputs.
        KitoError: the format is unknown, or the model cannot be saved or loaded again. Whatever is
            raised, nothing is left behind, and an older file of the name is as it was.
    """
    if artifact_format not in _FORMATS:
        raise KitoError(f"no artifact format {artifact_format!r}; there are: {', '.join(FORMATS)}")
    kind = _FORMATS[artifact_format]
    target = folder / f"{name}{kind.suffix}"
    try:
        scratch_folder = tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder)
    except OSError as error:
        raise KitoError(f"{target} cannot be written: {error.strerror}") from error
    with scratch_folder as scratch:
        path = Path(scratch, target.name)
        try:
            kind.write(model, path)
        except Exception as error:
            raise KitoError(f"'{model.name}' cannot be saved: {describe(error)}") from error
        try:
            loaded = kind.read(path, custom_objects)
        except Exception as error:
            raise KitoError(
                f"'{model.name}' was saved but cannot be loaded again: {describe(error)}. Register "
                "its custom classes with keras.saving.register_keras_serializable, or name them "
                "as custom_objects"
            ) from error
        comparison = compare(
            original, loaded, inputs, rtol=rtol, atol=atol, outputs=outputs, reference=reference
        )
        if not comparison.passed:
            raise ArtifactDiffersError(
                f"'{target.name}', loaded again, differs: {comparison.message()}"
            )
        digest, size = sha256(path), path.stat().st_size
        try:
            sync(path)
            os.replace(path, target)
        except OSError as error:
            raise KitoError(f"{target} cannot be written: {error.strerror}") from error
    largest = max(output.max_abs for output in comparison.outputs.values())
    return ArtifactFile(artifact_format, target.name, size, digest, largest)
