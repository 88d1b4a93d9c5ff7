"""The results of the checks, from which every report is written; nothing here measures.

A :class:`Finding` is the result of one check of one model. It is plain data, so that an xdist
worker can send it to the controller inside the test's report. :class:`Results` holds the findings
by model and check, in the order of kito.yaml, independent of the order in which they arrive.
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
    """The result of one check.

    Attributes:
        model: name of the model.
        check: ``reduction``, ``equivalence``, ``speedup[BATCH]``, ``speedup[ENGINE-BATCH]`` or
            ``artifact[FORMAT]``.
        outcome: ``passed``, ``failed`` or ``skipped``.
        message: why the check failed or was skipped; otherwise empty.
        data: the figures, as in the section of the JSON report; None if there are none.
        environment: the machine, as in the JSON report.
        staged: the file of an artifact that is published once the model's other checks have passed.
        seconds: seconds per phase (see :data:`pytest_kito.checks.phases.PHASES`), without the work
            that an earlier check of the model had already done.
        network: both graphs of a reduction, as :func:`kito.drawing.network.describe` returns them;
            None where no report draws them.
    """

    model: str
    check: str
    outcome: str = "passed"
    message: str = ""
    data: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    staged: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    network: dict[str, Any] | None = None

    @property
    def section(self) -> str:
        """The kind of check, without its parameter: ``speedup`` for ``speedup[32]``."""
        return self.check.partition("[")[0]

    @property
    def warnings(self) -> list[str]:
        """Warnings that a reader should know before trusting the figures."""
        return list((self.data or {}).get("warnings") or ())


class ModelResult:
    """The findings of one model."""

    def __init__(self, declared: DeclaredModel) -> None:
        self.declared = declared
        self._findings: dict[str, Finding] = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self.declared.name

    @property
    def findings(self) -> list[Finding]:
        """One finding per check that was run, in the order of the declared checks."""
        order = {check: i for i, check in enumerate(self.declared.checks)}

        def place(finding: Finding) -> int:
            return order.get(finding.check, len(order))

        return sorted(self._findings.values(), key=place)

    @property
    def failed(self) -> list[Finding]:
        """The findings of checks that failed."""
        return [finding for finding in self.findings if finding.outcome == "failed"]

    @property
    def not_run(self) -> list[str]:
        """The names of declared checks that were not run in this session."""
        return [check for check in self.declared.checks if check not in self._findings]

    @property
    def passed(self) -> bool:
        """Whether at least one check passed and none failed."""
        return not self.failed and any(x.outcome == "passed" for x in self.findings)

    @property
    def proved(self) -> bool:
        """Whether the model passed and all its declared checks were run: it can be published.

        A skipped check counts as run, unless it is a metric: that of a file is skipped where the
        file was not there yet, whatever became of the file later.
        """
        return self.passed and not self.not_run and not self.not_measured

    @property
    def not_measured(self) -> list[str]:
        """The names of metrics that were skipped."""
        return [x.check for x in self.of("metric") if x.outcome == "skipped"]

    @property
    def network(self) -> dict[str, Any] | None:
        """The network before and after, where the check ``reduction`` described it."""
        return next((x.network for x in self.of("reduction")), None)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per phase of the model."""
        total = _sum(finding.seconds for finding in self._findings.values())
        return {phase: total[phase] for phase in MODEL_PHASES}

    def of(self, section: str) -> list[Finding]:
        """The findings of one kind of check, such as ``speedup``."""
        return [finding for finding in self.findings if finding.section == section]

    def data(self, section: str) -> dict[str, Any] | None:
        """The first figures of one kind of check, for kinds that occur once; None without any."""
        all_data = (finding.data for finding in self.of(section))
        return next((data for data in all_data if data is not None), None)

    def add(self, finding: Finding) -> None:
        """Add a finding; it replaces an earlier one of the same check.

        A failure without figures (the process died, or the teardown after the check failed) keeps
        the figures of the earlier finding.
        """
        earlier = self._findings.get(finding.check)
        if earlier is not None and finding.outcome == "failed" and finding.data is None:
            earlier.outcome, earlier.message = "failed", finding.message
        else:
            self._findings[finding.check] = finding


class Results:
    """The findings of a session.

    Attributes:
        config: kito.yaml, relative to the root directory if it is inside.
        total: seconds that the gate took in all processes, its test items and its hooks.
        interrupted: whether the session ended before its end.
        origin: what the models are made of: repository, ref, commit, run, as far as known (see
            :func:`kito.export.origin.origin`); None where it was not looked up.
    """

    def __init__(self, declared: Iterable[DeclaredModel], config: str = "kito.yaml") -> None:
        self._models = {model.name: ModelResult(model) for model in declared}
        self._selected: dict[tuple[str, str], None] = {}
        self.config = config
        self.total = 0.0
        self.interrupted = False
        self.origin: dict[str, Any] | None = None

    def add(self, data: Mapping[str, Any]) -> None:
        """Add a finding that :func:`as_data` converted."""
        finding = Finding(**data)
        self._models[finding.model].add(finding)

    def select(self, model: str, check: str) -> None:
        """Note that the session is to make a check, so that it is missed where it is not made."""
        self._selected[model, check] = None

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        """The model and the name of each check that was selected and has no finding."""
        return [pair for pair in self._selected if not self.has_finding(*pair)]

    def declares(self, model: str, check: str) -> bool:
        """Whether the model declares the check."""
        return model in self._models and check in self._models[model].declared.checks

    def has_finding(self, model: str, check: str) -> bool:
        """Whether there is a finding of the check."""
        return any(finding.check == check for finding in self._models[model].findings)

    @property
    def models(self) -> list[ModelResult]:
        """The models that have findings or selected checks, in the order of kito.yaml."""
        selected = {name for name, _ in self._selected}
        return [x for x in self._models.values() if x.findings or x.name in selected]

    @property
    def reported(self) -> list[ModelResult]:
        """The models for the JSON report: all declared ones if no check was selected.

        So a report without models is that of a shard without models, and of nothing else.
        """
        return self.models or list(self._models.values())

    @property
    def findings(self) -> list[Finding]:
        """The findings of all models."""
        return [finding for model in self.models for finding in model.findings]

    @property
    def passed(self) -> bool:
        """Whether models were checked, all of them passed, and the session was not interrupted."""
        models = self.models
        return bool(models) and not self.interrupted and all(model.passed for model in models)

    @property
    def environment(self) -> dict[str, Any] | None:
        """The machine of the first finding that names one."""
        environments = (finding.environment for finding in self.findings)
        return next((environment for environment in environments if environment), None)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds: ``total``, each phase, and ``own`` for the gate itself, outside of the phases.

        Under xdist these are sums over the processes.
        """
        summed = _sum(finding.seconds for finding in self.findings)
        phases = {phase: summed[phase] for phase in PHASES}
        own = overhead(self.total, phases)
        return {"total": own + sum(phases.values()), **phases, "own": own}

    @property
    def gpu_missing(self) -> bool:
        """Whether no speed-up was judged because all minima are for a GPU and there was none."""
        speedups = [(model, finding) for model in self.models for finding in model.of("speedup")]
        return (
            bool(speedups)
            and (self.environment or {}).get("device") == "cpu"
            and all(
                finding.outcome == "skipped" and model.declared.speedup_device == "gpu"
                for model, finding in speedups
            )
        )


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding as plain data, for JSON and for sending it between processes."""
    return asdict(finding)


def _sum(seconds: Iterable[Mapping[str, float]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in seconds:
        total.update(each)
    return total
