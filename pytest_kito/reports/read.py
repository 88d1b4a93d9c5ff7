"""Reads a JSON report, which may come from anywhere, and checks all that is read of it.

Only the keys that ``kito merge``, ``kito summary``, ``kito diff``, ``--kito-timings`` and the HTML
report use are checked: reports of other versions may have more, and an older one may have fewer.
What is there has its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kito.errors import KitoError, shown
from kito.runtime.bounded import read_file, read_json


class _Part(BaseModel):
    """A mapping of a report: the types of the keys that are read; any other key may be there."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Pair = Annotated[tuple[_Count, _Count], Field(strict=False)]
_Times = Annotated[tuple[float, float], Field(strict=False)] | None
_Seconds = Mapping[str, Annotated[float, Field(ge=0)]] | None


class KeptLayer(_Part):
    """A layer that the reduction kept, and why."""

    layer: str
    reason: str


class RewritePart(_Part):
    """What one pass did at one place."""

    pass_name: str = ""
    layers: list[str] = Field(default_factory=list)
    into: str | None = None


class ReductionPart(_Part):
    """The section ``reduction`` of a model; pairs are before and after the reduction."""

    layers: _Pair = (0, 0)
    batchnorms: _Pair = (0, 0)
    parameters: _Pair = (0, 0)
    precomputed: _Count = 0
    rewrites: list[RewritePart] = Field(default_factory=list)
    kept: list[KeptLayer] = Field(default_factory=list)
    shared: list[KeptLayer] = Field(default_factory=list)


class OutputPart(_Part):
    """The figures of one output in the section ``equivalence``."""

    max_abs: float | None = None
    mean_abs: float | None = None
    scale: float | None = None
    spread: float | None = None
    rtol: float | None = None
    atol: float | None = None
    required_rtol: float | None = None

    @property
    def error(self) -> float | None:
        """The largest difference, relative to the output's own scale; None where not known."""
        return self._relative(self.max_abs)

    @property
    def tolerance(self) -> float | None:
        """The largest difference that is allowed, on the same scale as ``error``."""
        if self.rtol is None or self.atol is None or not self.scale:
            return None
        return self.rtol + self.atol / self.scale

    @property
    def mean_error(self) -> float | None:
        """The mean difference, on the same scale as ``error``."""
        return self._relative(self.mean_abs)

    @property
    def share(self) -> float | None:
        """The largest difference as a part of what is allowed; None where either is not known."""
        if self.error is None or not self.tolerance:
            return None
        return self.error / self.tolerance

    def _relative(self, value: float | None) -> float | None:
        return value / self.scale if value is not None and self.scale else None


class EquivalencePart(_Part):
    """The section ``equivalence`` of a model."""

    passed: bool | None = None
    insensitive: bool = False
    within_rounding: bool = False
    samples: _Count = 0
    suggestion: str | None = None
    advice: str = ""
    outputs: Mapping[str, OutputPart] = Field(default_factory=dict)


class SpeedupPart(_Part):
    """An entry of the section ``speedup`` of a model."""

    engine: str = "keras"
    batch_size: _Count = 0
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    device_name: str | None = None
    against: str = "keras"
    noise_floor: float | None = None
    minimum: float | None = None
    confidence: float | None = None
    original_ms: _Times = None
    reduced_ms: _Times = None
    original_quantiles_ms: list[float] = Field(default_factory=list)
    reduced_quantiles_ms: list[float] = Field(default_factory=list)
    pairs: _Count = 0
    skipped: str | None = None
    explanation: str | None = None
    warnings: list[str] = Field(default_factory=list)
    engine_version: str | None = None
    provider: str | None = None
    precision: str | None = None

    @property
    def check(self) -> str:
        """The name of its check."""
        engine = "" if self.engine == "keras" else f"{self.engine}-"
        return f"speedup[{engine}{self.batch_size}]"


class CheckPart(_Part):
    """A check that was made."""

    check: str = ""
    outcome: str = ""
    message: str = ""


class MetricPart(_Part):
    """An entry of the section ``metrics`` of a model."""

    name: str
    format: str | None
    original: float | None
    value: float | None
    passed: bool | None
    skipped: str | None
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    warnings: list[str] = Field(default_factory=list)

    @property
    def check(self) -> str:
        """The name of its check."""
        return f"metric[{self.name}{'' if self.format is None else f'-{self.format}'}]"


class ArtifactPart(_Part):
    """A file of the section ``artifacts`` of a model."""

    file: str
    sha256: str
    format: str = ""
    bytes: _Count | None = None
    max_abs: float | None = None
    engine: str = ""
    engine_version: str = ""
    precision: str = ""


class ModelPart(_Part):
    """A model of a report."""

    name: str
    source: str = ""
    passed: bool = False
    seconds: _Seconds = None
    reduction: ReductionPart | None = None
    equivalence: EquivalencePart | None = None
    speedup: list[SpeedupPart] = Field(default_factory=list)
    artifacts: list[ArtifactPart] = Field(default_factory=list)
    metrics: list[MetricPart] = Field(default_factory=list)
    checks: list[CheckPart] = Field(default_factory=list)
    not_run: list[str] = Field(default_factory=list)
    network: dict[str, Any] | None = None

    @property
    def outcome(self) -> str:
        """``passed``, ``failed``, ``skipped`` or ``not run``."""
        if self.passed:
            return "passed"
        outcomes = {x.outcome for x in self.checks}
        return next((x for x in ("failed", "skipped") if x in outcomes), "not run")

    @property
    def share(self) -> float | None:
        """The largest difference of all outputs, each as a part of what is allowed for it."""
        outputs = self.equivalence.outputs.values() if self.equivalence else ()
        return max((x.share for x in outputs if x.share is not None), default=None)


class OriginPart(_Part):
    """What was checked, as far as it is known."""

    repository: str = ""
    ref: str = ""
    commit: str = ""
    run: str = ""
    modified: bool | None = False


class ReportFile(_Part):
    """The keys of a report that are read; those that it lacks have their defaults."""

    schema_version: Literal[1]
    created: str
    kito_version: str | None = None
    config: str = ""
    origin: OriginPart | None = None
    environment: dict[str, Any] | None
    environments: list[dict[str, Any] | None] | None = None
    passed: bool
    interrupted: bool = False
    missing: list[str] = Field(default_factory=list)
    seconds: _Seconds = None
    models: list[ModelPart]


def read_report(path: Path) -> dict[str, Any]:
    """Read a JSON report.

    Returns:
        The report as it is in the file.

    Raises:
        KitoError: the file cannot be read, or is not a report of schema version 1.
    """
    return _read(path)[0]


def read_typed_report(path: Path) -> ReportFile:
    """Read a JSON report as its typed parts.

    Raises:
        KitoError: as :func:`read_report`.
    """
    return _read(path)[1]


def typed_report(content: Any) -> ReportFile:
    """The typed parts of a report that is plain data.

    Raises:
        pydantic.ValidationError: it is not a report of schema version 1.
    """
    return ReportFile.model_validate(content)


def _read(path: Path) -> tuple[dict[str, Any], ReportFile]:
    try:
        content = read_json(read_file(path))
        return content, typed_report(content)
    except FileNotFoundError:
        raise KitoError(f"there is no file {path}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shown(".".join(map(str, first["loc"])) or "the whole", 100)
        raise KitoError(
            f"{path} is not a report of schema_version 1, as pytest --kito-report writes it: "
            f"{where}: {first['msg']}"
        ) from error
    except (OSError, ValueError) as error:
        raise KitoError(
            f"{path} is not a report of pytest --kito-report: {shown(error)}"
        ) from error
