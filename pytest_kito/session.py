"""The gate: what one pytest session does with the models declared in kito.yaml."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kito.errors import KitoError
from pytest_kito.config import Config, ConfigError, ModelSpec, load_config
from pytest_kito.options import Options
from pytest_kito.publication import publish
from pytest_kito.reports.json import write_report
from pytest_kito.reports.terminal import lines
from pytest_kito.results import Finding, Results, as_data
from pytest_kito.runs import ModelRun
from pytest_kito.selection import shard

if TYPE_CHECKING:
    from kito.devices import Device

GATE = pytest.StashKey["Gate"]()


def start(config: pytest.Config, options: Options) -> Gate:
    """Start the gate of this session.

    Raises:
        pytest.UsageError: there is no kito.yaml, or what it says is wrong.
    """
    gate = Gate(config, options)
    config.stash[GATE] = gate
    config.pluginmanager.register(gate, "kito-gate")
    if options.check:
        gate.add_argument()
    return gate


def gate_of(config: pytest.Config) -> Gate:
    """The gate of this session, started if it is not: a fixture may need it without the checks."""
    gate = config.stash.get(GATE, None)
    return start(config, Options.from_config(config)) if gate is None else gate


class Gate:
    """The declared models, the options, and what the checks found; a pytest plugin by its hooks."""

    def __init__(self, pytest_config: pytest.Config, options: Options) -> None:
        self.pytest_config, self.options = pytest_config, options
        self.config = _load(options.config, pytest_config.rootpath, options.check)
        self.specs: tuple[ModelSpec, ...] = shard(self.config.models, options.shard)
        self.results = Results({spec.name: spec.source for spec in self.specs})
        self.problems: list[str] = []
        self._runs: dict[str, ModelRun] = {}
        self._expected: Counter[str] = Counter()
        self._device: Device | None = None
        self._environment: dict[str, Any] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this process runs tests for the controller of pytest-xdist."""
        return hasattr(self.pytest_config, "workerinput")

    def add_argument(self) -> None:
        """Collect kito.yaml also where ``testpaths`` or the arguments leave it out."""
        config, path = self.pytest_config, self.config.path
        given = [Path(config.invocation_params.dir, arg.split("::")[0]) for arg in config.args]
        if not any(path == place or path.is_relative_to(place) for place in given):
            config.args.append(str(path))

    # ---- what checks and fixtures ask for ------------------------------------------------------

    def run(self, name: str) -> ModelRun:
        """The run of a declared model; one for all its checks and tests."""
        if name not in self._runs:
            spec = next(spec for spec in self.config.models if spec.name == name)
            self._runs[name] = ModelRun(spec, self.config.path.parent)
        return self._runs[name]

    def device(self) -> Device:
        """Where this session runs; raises KitoError where there is no such device."""
        if self._device is None:
            from kito.devices import detect

            self._device = detect("gpu" if self.options.require_gpu else self.options.device)
        return self._device

    def environment(self) -> dict[str, Any] | None:
        """The machine, for the report; None where it cannot be told."""
        if self._environment is None:
            from kito.devices import environment

            try:
                self._environment = environment(self.device())
            except KitoError:  # the check that needs the device says so
                return None
        return self._environment

    def staging(self) -> Path:
        """A folder beside the artifacts for those whose model still has checks to pass."""
        if self.options.artifacts is None:
            if self._scratch is None:
                self._scratch = tempfile.TemporaryDirectory(prefix="kito-")
            return Path(self._scratch.name)
        folder = self._staging_folder(self.options.artifacts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _staging_folder(self, artifacts: Path) -> Path:
        worker = getattr(self.pytest_config, "workerinput", {})
        return artifacts / f".staging-{worker.get('testrunuid', 'main')}"

    # ---- hooks ---------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        """A GPU that must be there is missed at once."""
        if self.options.check and self.options.require_gpu and not self.is_worker:
            try:
                self.device()
            except KitoError as error:
                raise pytest.UsageError(f"--kito-require-gpu: {error}") from error

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Collect the checks."""
        if not self.options.check or file_path != self.config.path:
            return None
        from pytest_kito.collection import KitoFile

        collector = KitoFile.from_parent(parent, path=file_path)
        collector.gate = self
        return collector

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count who needs which model."""
        self._expected = Counter(name for item in session.items for name in [_model(item)] if name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Release a model when the last item that needs it is done."""
        result = yield
        name = _model(item)
        if name:
            self._expected[name] -= 1
            if self._expected[name] <= 0 and name in self._runs:
                self._runs.pop(name).release()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send what a check found along with the report of its item."""
        report = yield
        finding: Finding | None = getattr(item, "finding", None)
        if finding is not None and call.when == "call":
            report.kito = as_data(finding)  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a check found, here or in a worker."""
        if hasattr(report, "kito") and not self.is_worker:
            self.results.add(report.kito)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Publish the artifacts of what passed, and write the report."""
        if self._scratch is not None:
            self._scratch.cleanup()
        if self.is_worker or not self.options.check or session.config.option.collectonly:
            return
        try:
            if self.options.artifacts is not None:
                folder = self.options.artifacts
                self.problems += publish(self.results, folder)
                for staging in folder.glob(".staging-*"):
                    shutil.rmtree(staging, ignore_errors=True)
            if self.options.report is not None:
                write_report(self.results, self.options.report)
        except (KitoError, OSError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
        if self.problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The table of the models."""
        if not self.results.models:
            return
        terminalreporter.section("kito")
        for line in lines(self.results):
            terminalreporter.write_line(line)
        for problem in self.problems:
            terminalreporter.write_line(problem, red=True)


def _load(path: Path, root: Path, checks: bool) -> Config:
    try:
        # Tests that use no more than the fixtures write no artifacts.
        return load_config(path, root=root, formats=checks)
    except ConfigError as error:
        raise pytest.UsageError(*error.errors) from error


def _model(item: pytest.Item) -> str | None:
    """The declared model that an item needs."""
    spec = getattr(item, "spec", None)
    if isinstance(spec, ModelSpec):
        return spec.name
    params = getattr(getattr(item, "callspec", None), "params", {})
    name = params.get("kito_model_name")
    return name if isinstance(name, str) else None
