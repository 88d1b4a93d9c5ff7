"""Artifacts: files that can be published, each proved by what will run it.

A file is written under a temporary name, opened from disk by the engine of its format, compared
again with the original model, and only then renamed: what bears the artifact's name has passed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kito.equivalence.compare import Comparison, Tolerance, compare
from kito.errors import KitoError, describe
from kito.export.files import sha256, sync
from kito.export.formats import keras_file, litert, onnx, openvino, saved_model
from kito.export.formats.base import Format, Opened
from kito.export.formats.interface import Interface
from kito.export.formats.names import FORMAT_NAMES, FORMATS, FormatName
from kito.graph.functional import as_functional
from kito.graph.keras_internals import all_layers
from kito.runtime.batch import Inputs, sample_count
from kito.runtime.run import run

__all__ = ["FORMATS", "ArtifactDiffersError", "ArtifactFile", "prove", "sha256", "write_artifact"]

_FORMATS: dict[str, Format] = {
    "keras": keras_file,
    "saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
}
_SHORT = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "float64": "f64"}


class ArtifactDiffersError(KitoError):
    """What was written, opened again, gives other outputs than the original."""


@dataclass(frozen=True)
class ArtifactFile:
    """A file that was written and proved.

    Attributes:
        format: see :data:`FORMATS`.
        file: its name in the folder.
        bytes: its size.
        sha256: its digest, in hexadecimal.
        max_abs: largest absolute difference of its outputs from the original's.
        engine: what ran it.
        engine_version: the engine's version.
        precision: what the engine computed in: ``f32``, ``f16``, ``bf16`` or ``f64``.
    """

    format: str
    file: str
    bytes: int
    sha256: str
    max_abs: float
    engine: str
    engine_version: str
    precision: str


@dataclass(frozen=True)
class Proof:
    """What running a file has shown."""

    comparison: Comparison
    engine_version: str
    precision: str

    @property
    def max_abs(self) -> float:
        """Largest absolute difference of any output."""
        return max(output.max_abs for output in self.comparison.outputs.values())


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
        model: the reduced model; it is left as it was.
        original: what its outputs are held against.
        inputs: to compare on.
        folder: an existing folder. A file of the same name is replaced only by one that passed.
        name: file name without suffix.
        artifact_format: one of :data:`FORMATS`.
        custom_objects: what a Keras model needs to be loaded, by name; other formats need none.
        rtol: see :func:`kito.compare`, as the following.
        atol: see :func:`kito.compare`.
        outputs: see :func:`kito.compare`.
        reference: see :func:`kito.compare`.

    Raises:
        ArtifactDiffersError: what was opened again gives other outputs.
        KitoError: the format is unknown or lacks packages, or the model cannot be written in it or
            opened again. Whatever is raised, nothing is left behind, and an older file of the name
            is as it was.
    """
    kind = _kind(artifact_format)
    target = folder / f"{name}{kind.suffix}"
    with _scratch(folder, target) as scratch:
        path = scratch / target.name
        try:
            interface = Interface.of(as_functional(original))
            _FORMATS[kind.name].write(model, path, name, interface)
        except Exception as error:
            raise KitoError(
                f"'{model.name}' cannot be written as {kind.name}: {_reason(error, scratch)}. "
                f"{_advice(kind)}"
            ) from error
        proof = prove(
            path,
            kind.name,
            original,
            inputs,
            custom_objects=custom_objects,
            rtol=rtol,
            atol=atol,
            outputs=outputs,
            reference=reference,
        )
        if not proof.comparison.passed:
            raise ArtifactDiffersError(
                f"'{target.name}', run by {kind.engine}, differs: {proof.comparison.message()}"
            )
        digest, size = sha256(path), path.stat().st_size
        try:
            sync(path)
            os.replace(path, target)
        except OSError as error:
            raise KitoError(f"{target} cannot be written: {error.strerror}") from error
    return ArtifactFile(
        format=kind.name,
        file=target.name,
        bytes=size,
        sha256=digest,
        max_abs=proof.max_abs,
        engine=kind.engine,
        engine_version=proof.engine_version,
        precision=proof.precision,
    )


def prove(
    path: Path,
    artifact_format: str,
    original: Any,
    inputs: Inputs,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    outputs: Mapping[str, Tolerance] | None = None,
    reference: str | None = None,
) -> Proof:
    """Have the engine of its format run a file, and compare it with the original.

    Args:
        path: the file, which is only read.
        artifact_format: see :func:`write_artifact`, as the following.
        original: see :func:`write_artifact`.
        inputs: see :func:`write_artifact`.
        custom_objects: see :func:`write_artifact`.
        rtol: see :func:`kito.compare`, as the following.
        atol: see :func:`kito.compare`.
        outputs: see :func:`kito.compare`.
        reference: see :func:`kito.compare`.

    Raises:
        KitoError: the format is unknown or lacks packages, the file cannot be opened or run, or it
            takes fewer batch sizes than the original.
    """
    kind = _kind(artifact_format)
    view = as_functional(original)
    with tempfile.TemporaryDirectory(prefix="kito-") as scratch:
        try:
            interface = Interface.of(view)
            opened = _FORMATS[kind.name].read(path, Path(scratch), interface, custom_objects)
        except Exception as error:
            raise KitoError(
                f"'{path.name}' cannot be opened by {kind.engine}: {_reason(error, path.parent)}. "
                f"{_advice(kind)}"
            ) from error
        _check_batches(opened, view, inputs, kind)
        comparison = compare(
            original,
            opened.model,
            inputs,
            rtol=rtol,
            atol=atol,
            outputs=outputs,
            reference=reference,
        )
        return Proof(comparison, opened.version, opened.precision or _precision(original))


def _kind(artifact_format: str) -> FormatName:
    if artifact_format not in FORMAT_NAMES:
        raise KitoError(f"no artifact format {artifact_format!r}; there are: {', '.join(FORMATS)}")
    kind = FORMAT_NAMES[artifact_format]
    if kind.missing:
        raise KitoError(f"'{kind.name}' {kind.advice}")
    return kind


@contextmanager
def _scratch(folder: Path, target: Path) -> Iterator[Path]:
    """A folder beside the target, on the same file system."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=folder)
    except OSError as error:
        raise KitoError(f"{target} cannot be written: {error.strerror}") from error
    with scratch as name:
        yield Path(name)


def _check_batches(opened: Opened, original: Any, inputs: Inputs, kind: FormatName) -> None:
    """A file takes batches of any size where the original does: exporters may fix one."""
    if kind.name == "keras" or any(x.shape[0] is not None for x in original.inputs):
        return
    for size in {1, min(3, sample_count(inputs))}:
        batch = {name: values[:size] for name, values in inputs.items()}
        try:
            got = [len(x) for x in run(opened.model, batch)]
        except KitoError as error:
            raise KitoError(
                f"{kind.engine} cannot run it: {_reason(error, Path())}. {_advice(kind)}"
            ) from error
        if any(count != size for count in got):
            raise KitoError(
                f"'{opened.model.name}', run by {kind.engine}, returns {got} samples for {size}: "
                f"the original takes batches of any size. {_advice(kind)}"
            )


def _precision(model: Any) -> str:
    """The least precise type that a layer computes in."""
    types = {layer.compute_dtype for layer in all_layers(model)}
    for name in ("bfloat16", "float16", "float32", "float64"):
        if name in types:
            return _SHORT[name]
    return "f32"


def _reason(error: Exception, scratch: Path) -> str:
    """What an exporter or an engine says, in one line, without where the file lay meanwhile."""
    text = str(error) if isinstance(error, KitoError) else describe(error)
    line = " ".join(text.replace(f"{scratch}{os.sep}", "").split())
    return (line if len(line) <= 500 else f"{line[:500]} ..").rstrip(". ")


def _advice(kind: FormatName) -> str:
    if kind.name == "keras":
        return (
            "Register its custom classes with keras.saving.register_keras_serializable, or name "
            "them as custom_objects"
        )
    return f"Leave '{kind.name}' out of its artifacts, or take the layer out that cannot be written"
