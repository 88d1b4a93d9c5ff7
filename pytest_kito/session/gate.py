"""The gate: what one pytest session does with the models declared in kito.yaml."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kito.errors import KitoError
from pytest_kito.artifacts.publish import staging_folder
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.phases import IMPORT, PhaseClock, Stopwatch
from pytest_kito.config.load import Config, ConfigError, ModelSpec, load_config
from pytest_kito.reports.results import Finding, as_data
from pytest_kito.session.options import DeviceChoice, Options
from pytest_kito.session.reporter import Reporter
from pytest_kito.shards.costs import costs
from pytest_kito.shards.partition import shard

if TYPE_CHECKING:
    from kito.runtime.devices import Device


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
        if not gate.is_worker and not config.option.collectonly:
            config.pluginmanager.register(Reporter(gate), "kito-reporter")
    return gate


def gate_of(config: pytest.Config) -> Gate:
    """The gate of this session, started if it is not: a fixture may need it without the checks."""
    gate = config.stash.get(GATE, None)
    return start(config, Options.from_config(config)) if gate is None else gate


class Gate:
    """The declared models, the options, and each model's run; a pytest plugin by its hooks."""

    def __init__(self, pytest_config: pytest.Config, options: Options) -> None:
        self.pytest_config, self.options = pytest_config, options
        self.clock = PhaseClock()
        self.own = Stopwatch()
        with self.own.running():
            self.config = _load(options.config, pytest_config.rootpath, options.check)
            self.specs = _part(self.config, options)
        # Names the staging folder: what a session that was killed left behind must be told apart.
        worker = getattr(pytest_config, "workerinput", {})
        self.run_id = str(worker.get("kito_run", f"{os.getpid()}-{secrets.token_hex(4)}"))
        self._runs: dict[str, ModelRun] = {}
        self._expected: Counter[str] = Counter()
        self._device: Device | None = None
        self._prepared = False
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
            self._import()
            self.prepare()
            spec = next(spec for spec in self.config.models if spec.name == name)
            self._runs[name] = ModelRun(spec, self.config.path.parent, self.clock)
        return self._runs[name]

    @property
    def workers(self) -> int:
        """How many processes run this session's tests."""
        return int(getattr(self.pytest_config, "workerinput", {}).get("workercount", 1))

    def prepare(self) -> None:
        """Choose the device, before a model is built; raises KitoError where it is too late."""
        if not self._prepared:
            from kito.runtime.devices import prepare

            prepare(self._wanted)
            self._prepared = True

    def device(self) -> Device:
        """Where this session runs; raises KitoError where there is no such device."""
        if self._device is None:
            self._import()
            from kito.runtime.devices import detect

            self.prepare()
            self._device = detect(self._wanted)
        return self._device

    @property
    def _wanted(self) -> DeviceChoice:
        return "gpu" if self.options.require_gpu else self.options.device

    def environment(self) -> dict[str, Any] | None:
        """The machine, for the report; None where it cannot be told."""
        if self._environment is None:
            from kito.runtime.devices import environment

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
        folder = staging_folder(self.options.artifacts, self.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _import(self) -> None:
        """The core with Keras and its backend, which take seconds: a phase of its own."""
        with self.clock.measure(IMPORT):
            import kito.export.artifact
            import kito.rewrite.reduce
            import kito.runtime.devices
            import kito.runtime.load  # noqa: F401

    # ---- hooks ---------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        """A GPU that must be there is missed at once."""
        if self.options.check and self._wanted == "gpu" and not self.is_worker:
            option = "--kito-require-gpu" if self.options.require_gpu else "--kito-device gpu"
            try:
                self.device()
            except KitoError as error:
                raise pytest.UsageError(f"{option}: {error}") from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> object:
        """Under xdist, keep together what must not be torn apart."""
        from pytest_kito.session.scheduling import scheduler

        return scheduler(config, log, self.config) if self.options.check else None

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Collect the checks."""
        if not self.options.check or file_path != self.config.path:
            return None
        from pytest_kito.session.items import KitoFile

        collector = KitoFile.from_parent(parent, path=file_path)
        collector.gate = self
        return collector

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count who needs which model."""
        self._expected = Counter(name for item in session.items for name in [_model(item)] if name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Release a model when the last item that needs it is done."""
        result = yield
        name = _model(item)
        if name:
            with self.own.running():
                self._expected[name] -= 1
                if self._expected[name] <= 0:
                    self._release(name)
        if self.is_worker:
            # Others run a part of the items: what comes next here tells what is still needed.
            following = None if nextitem is None else _model(nextitem)
            for held in list(self._runs) if following or nextitem is None else ():
                if held != following:
                    self._release(held)
        return result

    def _release(self, name: str) -> None:
        if name in self._runs:
            self._runs.pop(name).release()

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

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """pytest-xdist: the workers' artifacts wait where the controller looks for them."""
        node.workerinput["kito_run"] = self.run_id

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave nothing behind; a worker of pytest-xdist tells what it took for itself."""
        if self._scratch is not None:
            self._scratch.cleanup()
        if self.is_worker:
            self.pytest_config.workeroutput["kito_seconds"] = self.own.seconds  # type: ignore[attr-defined]


def _part(config: Config, options: Options) -> tuple[ModelSpec, ...]:
    """The models of this session's part of them."""
    if options.shard is None and options.timings is None:
        return config.models
    try:
        seconds = costs(config.models, config.base, options.timings)
    except KitoError as error:
        raise pytest.UsageError(f"--kito-timings: {error}") from error
    return shard(config.models, options.shard, seconds)


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
