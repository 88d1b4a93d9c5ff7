"""Which checks a declared model has, under which names and in which order.

A session makes its test items from this list, and compares its results with it: a check that was
declared and not made has not passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kito.config.load import ModelSpec


@dataclass(frozen=True)
class DeclaredCheck:
    """One check of a model.

    Attributes:
        section: ``reduction``, ``equivalence``, ``speedup``, ``artifact`` or ``metric``.
        parameter: a batch size, a format, or a metric's name, which ``-`` and a format may follow;
            None for a check without a parameter.
    """

    section: str
    parameter: int | str | None = None

    @property
    def name(self) -> str:
        """``reduction``, or ``speedup[32]``."""
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
    """

    name: str
    source: str = ""
    line: int = 1
    checks: tuple[str, ...] = ()
    speedup_device: str | None = None


def declared_checks(spec: ModelSpec) -> tuple[DeclaredCheck, ...]:
    """The checks of a model, in their order."""
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
    )


def declared_model(spec: ModelSpec) -> DeclaredModel:
    """What the reports need of a model."""
    return DeclaredModel(
        name=spec.name,
        source=spec.source,
        line=spec.line,
        checks=tuple(check.name for check in declared_checks(spec)),
        speedup_device=None if spec.speedup is None else spec.speedup.device,
    )
