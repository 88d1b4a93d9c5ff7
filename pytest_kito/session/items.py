"""kito.yaml as test items: one collector per model, one item per check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kito.errors import KitoError
from kito.runtime.quiet import without_deprecations
from pytest_kito.checks.check import (
    check_artifact,
    check_equivalence,
    check_reduction,
    describe_network,
)
from pytest_kito.checks.declared import InEngine, declared_checks
from pytest_kito.checks.engine_speedup import Session, check_engine_speedup
from pytest_kito.checks.metric import check_metric
from pytest_kito.checks.outcome import CheckFailed, CheckSkipped
from pytest_kito.checks.phases import METRIC
from pytest_kito.checks.speedup import check_speedup
from pytest_kito.checks.time_limit import timing_plan
from pytest_kito.reports.github import disarm, in_actions
from pytest_kito.reports.junit import properties
from pytest_kito.reports.results import Finding
from pytest_kito.session.progress import Progress

if TYPE_CHECKING:
    from pytest_kito.config.load import ModelSpec
    from pytest_kito.session.gate import Gate


class KitoFile(pytest.File):
    """kito.yaml."""

    gate: Gate

    def collect(self) -> Iterator[KitoModel]:
        """Its models, in their order; those of this shard only."""
        for spec in self.gate.specs:
            model = KitoModel.from_parent(self, name=spec.name)
            model.spec, model.gate = spec, self.gate
            yield model


class KitoModel(pytest.Collector):
    """One declared model."""

    spec: ModelSpec
    gate: Gate

    def collect(self) -> Iterator[CheckItem]:
        """Its checks."""
        for declared in declared_checks(self.spec):
            kind = _KINDS[declared.section]
            yield self._item(kind, declared.name, declared.parameter)

    def _item(self, kind: type[CheckItem], name: str, parameter: Any = None) -> CheckItem:
        item = kind.from_parent(self, name=name)
        item.spec, item.gate, item.parameter = self.spec, self.gate, parameter
        item.add_marker("kito")
        return item


class CheckItem(pytest.Item):
    """One check of one model."""

    spec: ModelSpec
    gate: Gate
    parameter: Any
    progress: Progress
    finding: Finding | None = None

    def check(self) -> dict[str, Any]:
        """Make the check; return its figures."""
        raise AssertionError("each subclass defines its check")

    def runtest(self) -> None:
        """Make the check and record its finding."""
        self.finding = Finding(self.spec.name, self.name)
        self.gate.clock.take()  # discard the time of the user's own tests
        self.progress = Progress(self.config, f"{self.spec.name}: {self.name}")
        try:
            with (
                self.progress,
                self.gate.clock.announcing(self.progress.phase),
                without_deprecations(),
            ):
                self.finding.data = self.check()
        except CheckSkipped as skip:
            self._note("skipped", str(skip), skip.data)
            pytest.skip(str(skip))
        except pytest.skip.Exception as skip:  # raised by the model's own code
            self._note("skipped", str(skip), None)
            raise
        except CheckFailed as failure:
            self._note("failed", str(failure), failure.data)
            raise
        except BaseException as error:  # pytest.fail, a time-out or an interrupt
            self._note("failed", str(error) or type(error).__name__, None)
            raise
        finally:
            self.finding.environment = self.gate.environment()
            self.finding.seconds = self.gate.clock.take()
            self.user_properties += properties(self.finding)

    def _note(self, outcome: str, message: str, data: dict[str, Any] | None) -> None:
        assert self.finding is not None
        self.finding.outcome, self.finding.message, self.finding.data = outcome, message, data

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any
    ) -> Any:
        """A short message for a failed check; a traceback for an unexpected error."""
        if isinstance(excinfo.value, CheckFailed | KitoError):
            text = f"{self._place()}: {self.spec.name}: {self.name}: {excinfo.value}"
            return disarm(text) if in_actions() else text
        return super().repr_failure(excinfo, *args, **kwargs)

    def _place(self) -> str:
        return f"{self.gate.config.shown}:{self.spec.line}"

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the model is declared."""
        return self.path, self.spec.line - 1, f"{self.spec.name}: {self.name}"


class Reduction(CheckItem):
    """``reduction``."""

    def check(self) -> dict[str, Any]:
        run = self.gate.run(self.spec.name)
        if self.gate.draws_networks and self.finding is not None:
            self.finding.network = describe_network(run)
        return check_reduction(run)


class Equivalence(CheckItem):
    """``equivalence``."""

    def check(self) -> dict[str, Any]:
        return check_equivalence(self.gate.run(self.spec.name))


class Speedup(CheckItem):
    """``speedup[BATCH]``, or ``speedup[ENGINE-BATCH]``."""

    @property
    def limit_s(self) -> float:
        """The seconds that the timing may take."""
        assert self.spec.speedup is not None
        return timing_plan(self.spec.speedup, self.parameter).most_s

    def check(self) -> dict[str, Any]:
        gate, run = self.gate, self.gate.run(self.spec.name)
        device = gate.device(self.spec.framework)
        self.progress.limit_s = self.limit_s
        with gate.clock.measure("time"):  # without the stages that may have to run first
            if isinstance(self.parameter, InEngine):
                session = Session(device, gate.wanted_device, gate.workers)
                return check_engine_speedup(run, self.parameter, session, self.progress.pairs)
            return check_speedup(
                run,
                self.parameter,
                device,
                workers=gate.workers,
                progress=self.progress.pairs,
            )


class Artifact(CheckItem):
    """``artifact[FORMAT]``."""

    def check(self) -> dict[str, Any]:
        run, folder = self.gate.run(self.spec.name), self.gate.staging()
        with self.gate.clock.measure("write"):
            path, data = check_artifact(run, self.parameter, folder)
        assert self.finding is not None
        self.finding.staged = str(path)
        return data


class Metric(CheckItem):
    """``metric[NAME]`` or ``metric[NAME-FORMAT]``."""

    def check(self) -> dict[str, Any]:
        run, folder = self.gate.run(self.spec.name), self.gate.staging()
        name, _, artifact_format = self.parameter.partition("-")
        with self.gate.clock.measure(METRIC):
            return check_metric(run, name, artifact_format or None, folder)


_KINDS: dict[str, type[CheckItem]] = {
    "reduction": Reduction,
    "equivalence": Equivalence,
    "speedup": Speedup,
    "artifact": Artifact,
    "metric": Metric,
}
