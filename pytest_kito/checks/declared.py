"""Which checks a declared model has, under which names and in which order.

A session makes its test items from this list, and compares its results with it: a check that was
declared and not made has not passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kito.config.load import ModelSpec
    from pytest_kito.config.schema import SpeedupSpec


@dataclass(frozen=True)
class InEngine:
    """The parameter of a speed-up that is measured in the engine of an artifact.

    Attributes:
        engine: the format of the artifact.
        batch_size: samples per call.
    """

    engine: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.engine}-{self.batch_size}"


@dataclass(frozen=True)
class DeclaredCheck:
    """One check of a model.

    Attributes:
        section: ``reduction``, ``equivalence``, ``speedup``, ``artifact`` or ``metric``.
        parameter: a batch size, an engine with one, a format, or a metric's name, which ``-`` and a
            format may follow; None for a check without a parameter.
    """

    section: str
    parameter: int | str | InEngine | None = None

    @property
    def name(self) -> str:
        """``reduction``, ``speedup[32]``, or ``speedup[onnx-32]``."""
        return self.section if self.parameter is None else f"{self.section}[{self.parameter}]"


@dataclass(frozen=True)
class DeclaredModel:
    """What the reports need of a declared model, whatever its checks find.

    Attributes:
        name: the model's name.
        source: where the model comes from, as in kito.yaml.
        line: the line of its name in kito.yaml, from 1.
        checks: the names of its checks, in their order.
        speedup_device: the kind of device that its minimum is for; None without ``speedup``.
        framework: what it is of, ``keras`` or ``torch``.
    """

    name: str
    source: str = ""
    line: int = 1
    checks: tuple[str, ...] = ()
    speedup_device: str | None = None
    framework: str = "keras"


def declared_checks(spec: ModelSpec) -> tuple[DeclaredCheck, ...]:
    """The checks of a model, in their order: a file is proved before it is timed."""
    batch_sizes = () if spec.speedup is None else spec.speedup.batch_size
    return (
        DeclaredCheck("reduction"),
        DeclaredCheck("equivalence"),
        *(DeclaredCheck("speedup", batch_size) for batch_size in batch_sizes),
        *(DeclaredCheck("artifact", artifact_format) for artifact_format in spec.artifacts),
        # Last: the metrics of a file need the file.
        *(
            DeclaredCheck("metric", f"{metric}{suffix}")
            for suffix in ("", *(f"-{artifact_format}" for artifact_format in spec.artifacts))
            for metric in spec.metrics
        ),
        *(DeclaredCheck("speedup", timing) for timing in _in_engines(spec.speedup)),
    )


def _in_engines(spec: SpeedupSpec | None) -> Iterator[InEngine]:
    for engine in () if spec is None else spec.engines:
        assert spec is not None
        for batch_size in spec.in_engine(engine).batch_size:
            yield InEngine(engine, batch_size)


def declared_model(spec: ModelSpec) -> DeclaredModel:
    """What the reports need of a model."""
    return DeclaredModel(
        name=spec.name,
        source=spec.source,
        framework=spec.framework,
        line=spec.line,
        checks=tuple(check.name for check in declared_checks(spec)),
        speedup_device=None if spec.speedup is None else spec.speedup.device,
    )
