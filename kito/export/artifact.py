"""Artifacts: files that can be published, each proved by the engine that will run it.

A file is written under a temporary name, loaded from disk by the engine of its format and compared
with the original model. Only then does it get its final name: a file of that name has passed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kito.errors import KitoError
from kito.export.failure import failure
from kito.export.files import install_file, resolve, sha256
from kito.export.formats.interface import Interface
from kito.export.formats.names import FormatInfo, available_format
from kito.export.opened import Load
from kito.export.own_file import advice, own_difference
from kito.export.proof import Baseline, Proof, prove
from kito.export.scratch import ScratchFolder, sweep
from kito.graph.functional import as_functional
from kito.graph.torch_model import framework_of


class ArtifactDiffersError(KitoError):
    """A file was written and loaded again, and its outputs are not the original's."""


@dataclass(frozen=True)
class ArtifactFile:
    """A file that was written and proved.

    Attributes:
        format: one of :data:`kito.export.formats.names.FORMATS`.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain data: an entry of ``artifacts`` of the JSON report."""
        return asdict(self)


def write_artifact(
    model: Any,
    baseline: Baseline,
    folder: Path,
    name: str,
    artifact_format: str = "keras",
    load: Load | None = None,
    rewrite: bool = True,
) -> ArtifactFile:
    """Write ``model`` as ``folder/name`` with the suffix of its format, and prove the file.

    Args:
        model: the reduced model; it is left unchanged.
        baseline: the original, and how the file is compared with it.
        folder: an existing folder. A file of the same name is replaced only by one that passed; for
            a link, the file that it names.
        name: file name without suffix.
        artifact_format: one of :data:`kito.export.formats.names.FORMATS`.
        load: loads the file; None for the format's own, which runs the engine in this process.
        rewrite: whether an exported graph is rewritten for its engine; False for the graph as
            Keras exports it.

    Raises:
        ArtifactDiffersError: the file, loaded again, gives other outputs than the original.
        KitoError: the format is unknown or lacks packages, or the model cannot be written in it or
            loaded again. After any error no new file is left behind, and an older file of the same
            name is unchanged.
    """
    info = available_format(artifact_format, framework_of(baseline.original))
    target = folder / f"{name}{info.suffix}"
    with _scratch_folder(target) as scratch:
        path = scratch / target.name
        try:
            interface = Interface.of(as_functional(baseline.original))
            info.implementation().write(model, path, name, interface, rewrite)
        except Exception as error:
            what = f"'{model.name}' cannot be written as {info.name}"
            why = advice(info, baseline.original, baseline.custom_objects)
            raise failure(what, error, why, scratch) from error
        proof = prove(path, info.name, baseline, load)
        if not proof.comparison.passed:
            raise ArtifactDiffersError(_difference(target, info, baseline, proof))
        digest, size = sha256(path), path.stat().st_size
        try:
            install_file(path, target)
        except OSError as error:
            raise _not_written(target, error) from error
    return ArtifactFile(
        format=info.name,
        file=target.name,
        bytes=size,
        sha256=digest,
        max_abs=proof.max_abs,
        engine=info.engine,
        engine_version=proof.engine_version,
        precision=proof.precision,
    )


def _difference(target: Path, info: FormatInfo, baseline: Baseline, proof: Proof) -> str:
    text = f"'{target.name}', run by {info.engine}, differs: {proof.comparison.message()}"
    if info.name != "keras":
        return text
    fault = own_difference(
        baseline.original, baseline.inputs, baseline.criteria, baseline.custom_objects
    )
    return f"{text}\n{fault}" if fault else text


def _scratch_folder(target: Path) -> ScratchFolder:
    """A temporary folder on the target's file system, for an atomic rename."""
    try:
        folder = resolve(target).parent
        sweep(folder)
        return ScratchFolder(folder)
    except OSError as error:
        raise _not_written(target, error) from error


def _not_written(target: Path, error: OSError) -> KitoError:
    return KitoError(f"{target} cannot be written: {error.strerror}")
