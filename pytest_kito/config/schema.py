"""The keys of kito.yaml: their types, defaults and meaning, as pydantic models.

These models validate a file, are the typed specs that the checks read, and generate the JSON schema
for editors. Unknown keys are errors, values are not converted (``"8"`` is not a number), and the
specs are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from kito.errors import nearest
from kito.export.formats.names import ENGINES
from kito.rewrite.passes.names import DEFAULT_PASSES
from kito.runtime.import_path import MODEL_FILES, is_import_path
from pytest_kito.config.metrics import Metrics
from pytest_kito.config.names import NAME_PATTERN
from pytest_kito.config.problems import quoted
from pytest_kito.config.section import Section
from pytest_kito.config.values import (
    LIST,
    UNIQUE,
    BatchSizes,
    Budget,
    Confidence,
    Format,
    ImportPath,
    NonNegative,
    PassName,
    distinct,
    existing_file,
    known_engines,
    npz_or_callable,
    wrong,
)


class InputsSpec(Section):
    """What the models are fed: seeded random samples, or data."""

    samples: int = Field(default=32, ge=2)
    """How many random samples; the comparison needs two to see outputs vary."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of the random samples and of `weights: random`."""
    shape: Mapping[str, Annotated[tuple[Annotated[int, Field(ge=1)], ...], LIST]] = Field(
        default_factory=dict
    )
    """Shape of an input, without the sample axis, where the model leaves a dimension open."""
    low: float = 0.0
    """Lowest random value."""
    high: float = Field(default=1.0, validate_default=True)
    """Random values stay below this."""
    data: str | None = None
    """An .npz file relative to kito.yaml, or package.module:callable; replaces random inputs."""

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and low >= high:
            raise wrong(f"{high} is not above 'low', which is {low}; allowed: low < high")
        return high

    @field_validator("data")
    @classmethod
    def _file_or_callable(cls, data: str | None, info: ValidationInfo) -> str | None:
        return None if data is None else npz_or_callable(data, info)


class OutputTolerance(Section):
    """The allowed difference of one output: max|a - b| <= atol + rtol * max|a|."""

    rtol: NonNegative | None = None
    """Part of the output's largest absolute value."""
    atol: NonNegative | None = None
    """In the output's own units."""


class ToleranceSpec(OutputTolerance):
    """The allowed difference, max|a - b| <= atol + rtol * max|a|; what is written here is strict.

    Without it: the default of the output's dtype, and where that is exceeded, the comparison with
    the original in float64.
    """

    outputs: Mapping[str, OutputTolerance] = Field(default_factory=dict)
    """Tolerances of single outputs, by name."""


class EquivalenceSpec(Section):
    """How the outputs are compared."""

    reference: Literal["float64"] | None = None
    """Compare with the original in float64 always, not only past the default tolerance."""


class ReductionSpec(Section):
    """How the model is reduced, and what the reduction must reach."""

    passes: Annotated[tuple[PassName, ...], LIST, AfterValidator(distinct)] = Field(
        default=DEFAULT_PASSES, json_schema_extra=UNIQUE
    )
    """The passes to run."""
    target: Literal["any", "cpu", "gpu"] = "any"
    """The kind of device that the reduced model is for."""
    min_folded: int | None = Field(default=None, ge=0)
    """At least so many BatchNormalization layers must go."""
    max_batchnorms: int | None = Field(default=None, ge=0)
    """At most so many BatchNormalization layers may remain."""
    strict: bool = False
    """A layer that cannot be copied is an error; otherwise both models share it."""


class EngineSpec(Section):
    """How an artifact is timed in its engine, against the original exported to the same format."""

    minimum: NonNegative | None = Field(default=None, alias="min")
    """The speed-up that must be reached; without it the speed-up is only reported."""
    against: Literal["same", "keras"] = "same"
    """The other side: the original in the same format and engine, or the original Keras model."""
    device: Literal["gpu", "cpu", "any"] | None = None
    """The kind of device that the engine runs on; without it that of the speedup section."""
    devices: Mapping[str, NonNegative] = Field(default_factory=dict)
    """A minimum for one device, by its name."""
    batch_size: BatchSizes | None = None
    """Batch size, or a list of them; without it those of the speedup section."""


class SpeedupSpec(Section):
    """How the speed-up is measured and judged; without this section it is not measured."""

    minimum: NonNegative | None = Field(default=None, alias="min")
    """The speed-up that must be reached; without it the speed-up is only reported."""
    device: Literal["gpu", "cpu", "any"] = "gpu"
    """The kind of device that the minimum is for."""
    devices: Mapping[str, NonNegative] = Field(default_factory=dict)
    """A minimum for one device, by its name."""
    batch_size: BatchSizes = (32,)
    """Batch size, or a list of them; one check each."""
    confidence: Confidence = 0.95
    """Confidence of the interval that the verdict is on."""
    budget_s: Budget = "auto"
    """Seconds of measuring, at most; or auto: as many rounds as a verdict needs, from 60 on, in at
    most ten minutes."""
    on_inconclusive: Literal["fail", "warn"] = "fail"
    """What to do where the machine is too noisy to tell."""
    jit: Literal["auto", "on", "off"] = "auto"
    """Whether XLA compiles both models: as predict would have it on a GPU and not on a CPU, or as
    declared."""
    engines: Annotated[
        Mapping[str, EngineSpec],
        AfterValidator(known_engines),
        Field(json_schema_extra={"propertyNames": {"enum": list(ENGINES)}}),
    ] = Field(default_factory=dict)
    """Artifact formats that are timed in their engines, too; one check for each and batch size."""

    def in_engine(self, name: str) -> SpeedupSpec:
        """How the artifact of a format of ``engines`` is timed in its engine."""
        own = self.engines[name]
        update = {
            "minimum": own.minimum,
            "devices": own.devices,
            "device": own.device or self.device,
            "batch_size": own.batch_size or self.batch_size,
        }
        return self.model_copy(update=update)


class DefaultKeys(Section):
    """The keys of a model that `defaults` can hold: all but `source`."""

    kwargs: Mapping[str, Any] = Field(default_factory=dict)
    """Arguments for the callable that `source` names."""
    weights: str = "as-built"
    """as-built, random (calibrated), or a weights file relative to kito.yaml: for torch, that of a
    state_dict."""
    framework: Literal["keras", "torch"] = "keras"
    """What the model is of: keras, or torch for a torch.nn.Module."""
    custom_objects: ImportPath | None = None
    """package.module:NAME of a dict of custom objects, to load a model file with."""
    inputs: InputsSpec = Field(default_factory=InputsSpec)
    tolerance: ToleranceSpec = Field(default_factory=ToleranceSpec)
    equivalence: EquivalenceSpec = Field(default_factory=EquivalenceSpec)
    reduction: ReductionSpec = Field(default_factory=ReductionSpec)
    speedup: SpeedupSpec | None = None
    artifacts: Annotated[tuple[Format, ...], LIST, AfterValidator(distinct)] = Field(
        default=("keras",), json_schema_extra=UNIQUE
    )
    """The formats to write, reload and compare again; without it `[keras]`, or `[torch]` for models
    of torch."""
    metrics: Metrics = Field(default_factory=dict)
    """Metrics of the task by name, evaluated on the original, the reduced model and each artifact;
    a name is letters, digits, '_' and '.'."""

    @field_validator("weights")
    @classmethod
    def _weights(cls, weights: str, info: ValidationInfo) -> str:
        words = ("as-built", "random")
        if weights in words:
            return weights
        allowed = "as-built, random, or a weights file"
        return existing_file(weights, info, allowed, hint=nearest(weights, words))


class ModelKeys(DefaultKeys):
    """One model."""

    source: str
    """package.module:callable (or dotted) that returns a model, or a .keras or .h5 file."""

    @field_validator("source")
    @classmethod
    def _callable_or_existing_file(cls, source: str, info: ValidationInfo) -> str:
        allowed = "package.module:callable, or a .keras or .h5 file"
        if source.endswith(MODEL_FILES):
            return existing_file(source, info, allowed)
        if not is_import_path(source):
            raise wrong(f"{quoted(source)} is neither; allowed: {allowed}")
        return source


class KitoFile(Section):
    """The models of this repository and what `pytest --kito-check` must find true of them."""

    version: Literal[1]
    """Version of this format: 1."""
    defaults: DefaultKeys = Field(default_factory=DefaultKeys)
    """Keys for every model; what a model writes itself goes first."""
    models: Mapping[str, ModelKeys] = Field(
        min_length=1, json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}}
    )
    """The models, by name; a name is letters, digits, '-', '_' and '.'."""


def known_keys(path: tuple[str | int, ...]) -> dict[str, str]:
    """The keys that are allowed in the mapping at ``path``, and what each means."""
    section: type[Section] = KitoFile
    for part in path:
        for name, field in section.model_fields.items():
            if part == (field.alias or name):
                section = _section_of(field.annotation) or section
                break
        # Any other part is a name that the user chose: the section stays that of its mapping.
    return {
        field.alias or name: field.description or "" for name, field in section.model_fields.items()
    }


def _section_of(annotation: Any) -> type[Section] | None:
    """The section that an annotation such as ``Mapping[str, ModelKeys]`` holds; None if none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_of, get_args(annotation))), None)


def config_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of kito.yaml, for editors and other programs."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **KitoFile.model_json_schema(mode="validation"),
        "title": "kito.yaml",
    }
