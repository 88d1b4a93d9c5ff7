"""What the checks found. Reports are written from this alone, and nothing here measures.

A :class:`Finding` is what one check of one model found, in plain data, so that it travels from an
xdist worker to the controller inside the test's report. :class:`Results` holds findings by model
and check, in the order of kito.yaml whatever the order in which they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pytest_kito.checks.declared import DeclaredModel
from pytest_kito.checks.phases import MODEL_PHASES, PHASES, overhead


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
        seconds: what its phases took, see :data:`pytest_kito.checks.phases.PHASES`; what an earlier check
            of the model had done already is not in it.
    """

    model: str
    check: str
    outcome: str = "passed"
    message: str = ""
    data: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    staged: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def section(self) -> str:
        """The check without what it is about: ``speedup`` of ``speedup[32]``."""
        return self.check.partition("[")[0]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before trusting the figures."""
        return list((self.data or {}).get("warnings") or ())


class ModelResult:
    """What the checks of one model found."""

    def __init__(self, declared: DeclaredModel) -> None:
        self.declared = declared
        self._found: dict[str, Finding] = {}

    @property
    def name(self) -> str:
        """The model."""
        return self.declared.name

    @property
    def findings(self) -> list[Finding]:
        """One per check that was made, in the order in which they are declared."""
        order = {check: i for i, check in enumerate(self.declared.checks)}
        return sorted(self._found.values(), key=lambda x: order.get(x.check, len(order)))

    @property
    def failed(self) -> list[Finding]:
        """The findings of checks that failed."""
        return [finding for finding in self.findings if finding.outcome == "failed"]

    @property
    def not_run(self) -> list[str]:
        """The names of declared checks that were not made in this session."""
        return [check for check in self.declared.checks if check not in self._found]

    @property
    def passed(self) -> bool:
        """Whether something was checked, and nothing failed."""
        return not self.failed and any(x.outcome == "passed" for x in self.findings)

    @property
    def proved(self) -> bool:
        """Whether it passed, and no declared check is missing: then it can be published."""
        return self.passed and not self.not_run

    @property
    def seconds(self) -> dict[str, float]:
        """What each phase of the model took."""
        spent = _sum(finding.seconds for finding in self._found.values())
        return {phase: spent[phase] for phase in MODEL_PHASES}

    def of(self, section: str) -> list[Finding]:
        """The findings of one kind of check."""
        return [finding for finding in self.findings if finding.section == section]

    def data(self, section: str) -> dict[str, Any] | None:
        """The figures of a kind of check that a model has one of; None where there are none."""
        return next((x.data for x in self.of(section) if x.data is not None), None)

    def add(self, finding: Finding) -> None:
        """Take in a finding; of a check that is made again, the last counts.

        A failure without figures - the process died, or what comes after the check failed - adds to
        what the check had found.
        """
        known = self._found.get(finding.check)
        if known is not None and finding.outcome == "failed" and finding.data is None:
            known.outcome, known.message = "failed", finding.message
        else:
            self._found[finding.check] = finding


class Results:
    """The findings of a session.

    Attributes:
        config: kito.yaml, relative to the root directory where it is inside.
        total: seconds of the gate in all processes: its items and its hooks.
        interrupted: whether the session ended before its end.
    """

    def __init__(self, declared: Iterable[DeclaredModel], config: str = "kito.yaml") -> None:
        self._models = {model.name: ModelResult(model) for model in declared}
        self.config = config
        self.total = 0.0
        self.interrupted = False

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in a finding as :func:`as_data` made it."""
        finding = Finding(**data)
        self._models[finding.model].add(finding)

    def declares(self, model: str, check: str) -> bool:
        """Whether there is such a check."""
        return model in self._models and check in self._models[model].declared.checks

    def found(self, model: str, check: str) -> bool:
        """Whether the check has a finding."""
        return any(finding.check == check for finding in self._models[model].findings)

    @property
    def models(self) -> list[ModelResult]:
        """The models of which something was checked, in the order of kito.yaml."""
        return [model for model in self._models.values() if model.findings]

    @property
    def findings(self) -> list[Finding]:
        """Those of all models."""
        return [finding for model in self.models for finding in model.findings]

    @property
    def passed(self) -> bool:
        """Whether something was checked, to the end, and every model of it passed."""
        models = self.models
        return bool(models) and not self.interrupted and all(model.passed for model in models)

    @property
    def environment(self) -> dict[str, Any] | None:
        """The machine of the first finding that tells."""
        return next((x.environment for x in self.findings if x.environment), None)

    @property
    def seconds(self) -> dict[str, float]:
        """``total``, each phase, and ``own``: what the gate itself took, all but the phases.

        Under xdist they are sums over the processes.
        """
        spent = _sum(finding.seconds for finding in self.findings)
        phases = {phase: spent[phase] for phase in PHASES}
        own = overhead(self.total, phases)
        return {"total": own + sum(phases.values()), **phases, "own": own}

    @property
    def gpu_missing(self) -> bool:
        """Whether no speed-up was judged, as every minimum is for a GPU and there was none."""
        speedups = [(model, x) for model in self.models for x in model.of("speedup")]
        return (
            bool(speedups)
            and (self.environment or {}).get("device") == "cpu"
            and all(
                finding.outcome == "skipped" and model.declared.speedup_device == "gpu"
                for model, finding in speedups
            )
        )


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding in plain data, for JSON and for the way between processes."""
    return asdict(finding)


def _sum(seconds: Iterable[Mapping[str, float]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in seconds:
        total.update(each)
    return total
