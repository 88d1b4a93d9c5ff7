"""kito.yaml as test items: one collector per model, one item per check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kito.errors import KitoError
from pytest_kito import checks
from pytest_kito.results import Finding
from pytest_kito.speedups import check_speedup

if TYPE_CHECKING:
    from pytest_kito.config import ModelSpec
    from pytest_kito.session import Gate


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
        spec = self.spec
        for kind in (Reduction, Equivalence):
            yield self._item(kind, kind.__name__.lower())
        if spec.speedup is not None:
            for batch_size in spec.speedup.batch_size:
                yield self._item(Speedup, f"speedup[{batch_size}]", batch_size)
        for artifact_format in spec.artifacts:
            yield self._item(Artifact, f"artifact[{artifact_format}]", artifact_format)

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
    finding: Finding | None = None

    def check(self) -> dict[str, Any]:
        """Make the check; returns its figures."""
        raise AssertionError("every kind of check has its own")

    def runtest(self) -> None:
        """Make the check and note what it found."""
        self.finding = Finding(self.spec.name, self.name)
        try:
            self.finding.data = self.check()
        except checks.CheckSkipped as skip:
            self._note("skipped", str(skip), skip.data)
            pytest.skip(str(skip))
        except checks.CheckFailed as failure:
            self._note("failed", str(failure), failure.data)
            raise
        except Exception as error:
            self._note("failed", str(error), None)
            raise
        finally:
            self.finding.environment = self.gate.environment()
            self.user_properties += _figures(self.finding)

    def _note(self, outcome: str, message: str, data: dict[str, Any] | None) -> None:
        assert self.finding is not None
        self.finding.outcome, self.finding.message, self.finding.data = outcome, message, data

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any
    ) -> Any:
        """A short message; the traceback only of what nobody expected."""
        if isinstance(excinfo.value, checks.CheckFailed | KitoError):
            return f"{self._place()}: {self.spec.name}: {self.name}: {excinfo.value}"
        return super().repr_failure(excinfo, *args, **kwargs)

    def _place(self) -> str:
        return f"{self.gate.config.shown}:{self.spec.line}"

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the model is declared."""
        return self.path, self.spec.line - 1, f"{self.spec.name}: {self.name}"


class Reduction(CheckItem):
    """``reduction``."""

    def check(self) -> dict[str, Any]:
        return checks.check_reduction(self.gate.run(self.spec.name))


class Equivalence(CheckItem):
    """``equivalence``."""

    def check(self) -> dict[str, Any]:
        return checks.check_equivalence(self.gate.run(self.spec.name))


class Speedup(CheckItem):
    """``speedup[BATCH]``."""

    def check(self) -> dict[str, Any]:
        gate, run = self.gate, self.gate.run(self.spec.name)
        with gate.progress(f"{self.spec.name}: {self.name}") as progress:
            return check_speedup(
                run, self.parameter, gate.device(), workers=gate.workers, progress=progress.pairs
            )


class Artifact(CheckItem):
    """``artifact[FORMAT]``."""

    def check(self) -> dict[str, Any]:
        run, folder = self.gate.run(self.spec.name), self.gate.staging()
        path, data = checks.check_artifact(run, self.parameter, folder)
        assert self.finding is not None
        self.finding.staged = str(path)
        return data


def _figures(finding: Finding) -> list[tuple[str, object]]:
    """The plain figures of a finding, as JUnit properties."""
    data = finding.data or {}
    return [
        (f"kito_{key}", value)
        for key, value in data.items()
        if isinstance(value, str | int | float | bool)
    ]
