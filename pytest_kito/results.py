"""What the checks found. Reports are written from this alone, and nothing here measures.

A :class:`Finding` is what one check of one model found, in plain data, so that it travels from an
xdist worker to the controller inside the test's report. :class:`Results` merges findings by model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Finding:
    """What one check found.

    Attributes:
        model: name of the model.
        check: ``reduction``, ``equivalence``, ``speedup[BATCH]`` or ``artifact[FORMAT]``.
        outcome: ``passed``, ``failed`` or ``skipped``.
        message: why it failed or was skipped, else empty.
        data: the figures, as the section of the JSON report has them; None where there are none.
        environment: the machine, as the JSON report has it.
        staged: the file of an artifact that waits for the model's other checks.
    """

    model: str
    check: str
    outcome: str = "passed"
    message: str = ""
    data: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    staged: str | None = None

    @property
    def section(self) -> str:
        """The check without what it is about: ``speedup`` of ``speedup[32]``."""
        return self.check.partition("[")[0]


@dataclass
class ModelResult:
    """What the checks of one model found.

    Attributes:
        name: the model.
        source: where it came from, as in kito.yaml.
        findings: one per check that ran, in the order in which they came.
    """

    name: str
    source: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> list[Finding]:
        """The findings of checks that failed."""
        return [finding for finding in self.findings if finding.outcome == "failed"]

    @property
    def passed(self) -> bool:
        """Whether something was checked, and nothing failed."""
        return not self.failed and any(x.outcome == "passed" for x in self.findings)

    def of(self, section: str) -> list[Finding]:
        """The findings of one kind of check."""
        return [finding for finding in self.findings if finding.section == section]


class Results:
    """The findings of a session, by model, in the order of kito.yaml."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._models = {name: ModelResult(name, source) for name, source in sources.items()}

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in a finding as :func:`as_data` made it."""
        finding = Finding(**data)
        self._models[finding.model].findings.append(finding)

    @property
    def models(self) -> list[ModelResult]:
        """The models of which something was checked."""
        return [model for model in self._models.values() if model.findings]

    @property
    def passed(self) -> bool:
        """Whether something was checked, and every model of which something was passed."""
        return bool(self.models) and all(model.passed for model in self.models)

    @property
    def environment(self) -> dict[str, Any] | None:
        """The machine of the first finding that tells."""
        tells: Iterable[dict[str, Any] | None] = (
            finding.environment for model in self.models for finding in model.findings
        )
        return next((environment for environment in tells if environment), None)


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding in plain data, for JSON and for the way between processes."""
    return asdict(finding)
