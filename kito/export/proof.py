"""The proof of a file: its engine runs it, and its outputs are compared with the original's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kito.equivalence.compare import compare_with
from kito.equivalence.criteria import Criteria
from kito.equivalence.result import Comparison
from kito.errors import KitoError
from kito.export.failure import failure, workaround
from kito.export.formats.base import LoadedArtifact
from kito.export.formats.names import FormatInfo, available_format
from kito.export.opened import Load, opened
from kito.graph.functional import as_functional
from kito.graph.keras_internals import all_layers, input_names
from kito.graph.torch_model import framework_of
from kito.runtime.batch import Inputs, sample_count
from kito.runtime.run import run

_SHORT = {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float64": "f64"}
"""Short names of the types that a layer can compute in, the least precise first."""


@dataclass(frozen=True)
class Baseline:
    """The original model, and how a file is compared with it.

    Attributes:
        original: the model whose outputs are right by definition.
        inputs: what both are run on.
        criteria: when their outputs count as the same.
        custom_objects: what a Keras model needs to be loaded, by name; other formats need none.
    """

    original: Any
    inputs: Inputs
    criteria: Criteria = field(default_factory=Criteria)
    custom_objects: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Proof:
    """What running a file has shown.

    Attributes:
        comparison: of the file's outputs with the original's.
        engine_version: the version of the engine that ran it.
        precision: what the engine computed in: ``f32``, ``f16``, ``bf16`` or ``f64``.
    """

    comparison: Comparison
    engine_version: str
    precision: str

    @property
    def max_abs(self) -> float:
        """Largest absolute difference of any output."""
        return max(output.max_abs for output in self.comparison.outputs.values())


def prove(path: Path, artifact_format: str, baseline: Baseline, load: Load | None = None) -> Proof:
    """Have the engine of its format run a file, and compare it with the original.

    Args:
        path: the file, which is only read.
        artifact_format: one of :data:`kito.export.formats.names.FORMATS`.
        baseline: the original, and how the file is compared with it.
        load: loads the file; None for the format's own, which runs the engine in this process.

    Raises:
        KitoError: the format is unknown or lacks packages, the file cannot be loaded or run, or it
            takes fewer batch sizes than the original.
    """
    original, inputs = baseline.original, baseline.inputs
    info = available_format(artifact_format, framework_of(original))
    functional = as_functional(original)
    with opened(path, info, original, baseline.custom_objects, load) as loaded:
        _check_inputs(functional, inputs, info)
        _check_batch_sizes(loaded, functional, inputs, info)
        comparison = compare_with(original, loaded.model, inputs, baseline.criteria)
        precision = loaded.precision or least_precise(original)
        return Proof(comparison, loaded.engine_version, precision)


def _check_inputs(original: Any, inputs: Inputs, info: FormatInfo) -> None:
    """Exported files have no optional inputs."""
    missing = [name for name in input_names(original) if name not in inputs]
    if missing and info.name != "keras":
        raise KitoError(
            f"a file that is run by {info.engine} takes every input: give data for {missing}, "
            f"which the model may leave out. {workaround(info)}"
        )


def _check_batch_sizes(
    loaded: LoadedArtifact, original: Any, inputs: Inputs, info: FormatInfo
) -> None:
    """A file takes batches of any size where the original does: exporters may fix one."""
    if info.name == "keras" or any(x.shape[0] is not None for x in original.inputs):
        return
    for size in {1, min(3, sample_count(inputs))}:
        batch = {name: values[:size] for name, values in inputs.items()}
        try:
            counts = [len(values) for values in run(loaded.model, batch)]
        except KitoError as error:
            what = f"{info.engine} cannot run it"
            raise failure(what, error, workaround(info), Path()) from error
        if any(count != size for count in counts):
            raise KitoError(
                f"'{loaded.model.name}', run by {info.engine}, returns {counts} samples for "
                f"{size}: the original takes batches of any size. {workaround(info)}"
            )


def least_precise(model: Any) -> str:
    """The least precise type that a layer computes in."""
    types = {layer.compute_dtype for layer in all_layers(model)}
    return next((short for name, short in _SHORT.items() if name in types), "f32")
