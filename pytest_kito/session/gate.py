"""The gate: the state of one pytest session that uses the models declared in kito.yaml.

The hooks that act on it are in :mod:`pytest_kito.session.hooks`.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kito.errors import KitoError
from kito.export.scratch import ScratchFolder, sweep
from kito.runtime.quiet import import_keras
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.phases import IMPORT, PhaseClock, Stopwatch
from pytest_kito.config.load import Config, ConfigError, ModelSpec, load_config
from pytest_kito.reports.html.extra import require_extra
from pytest_kito.session.options import DeviceChoice, Options
from pytest_kito.shards.costs import costs
from pytest_kito.shards.partition import shard

if TYPE_CHECKING:
    from kito.runtime.devices import Device


class Gate:
    """The declared models, the options, the device, and each model's run."""

    def __init__(self, pytest_config: pytest.Config, options: Options) -> None:
        self.pytest_config, self.options = pytest_config, options
        if options.check:
            _require_packages(options)
        self.clock = PhaseClock()
        self.own = Stopwatch()
        with self.own.running():
            self.config = _load(options.config, pytest_config.rootpath, options.check)
            self.specs = _part(self.config, options)
        self._runs: dict[str, ModelRun] = {}
        self._expected: Counter[str] = Counter()
        self._devices: dict[str, Device] = {}
        self._prepared = False
        self._environment: dict[str, Any] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._staging: ScratchFolder | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this process runs tests for the controller of pytest-xdist."""
        return hasattr(self.pytest_config, "workerinput")

    @property
    def draws_networks(self) -> bool:
        """Whether a report draws the networks."""
        return self.options.html is not None

    def add_argument(self) -> None:
        """Collect kito.yaml also where ``testpaths`` or the arguments leave it out."""
        config, path = self.pytest_config, self.config.path
        given = [Path(config.invocation_params.dir, arg.split("::")[0]) for arg in config.args]
        if not any(path == place or path.is_relative_to(place) for place in given):
            config.args.append(str(path))

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

            prepare(self.wanted_device)
            self._prepared = True

    def device(self, framework: str = "keras") -> Device:
        """Where this session runs models of a framework, ``keras`` or ``torch``.

        Raises:
            KitoError: there is no such device.
        """
        if framework not in self._devices:
            self._import()
            from kito.runtime.devices import detect

            self.prepare()
            self._devices[framework] = detect(self.wanted_device, framework)
        return self._devices[framework]

    @property
    def wanted_device(self) -> DeviceChoice:
        """The device that the options ask for."""
        return "gpu" if self.options.require_gpu else self.options.device

    def environment(self) -> dict[str, Any] | None:
        """The machine, for the report; None where the device is unknown."""
        if self._environment is None:
            from kito.runtime.devices import environment

            try:
                self._environment = environment(self.device())
            except KitoError:  # the check that needs the device says so
                return None
        return self._environment

    def staging(self) -> Path:
        """The folder that holds artifacts until their model has passed all of its checks.

        The workers of pytest-xdist share the controller's, which outlives them. It is locked, so
        that no other session takes it for one that a killed session left behind.

        Raises:
            KitoError: the folder of artifacts cannot be written.
        """
        folder = self.options.artifacts
        if folder is None:
            if self._scratch is None:
                self._scratch = tempfile.TemporaryDirectory(prefix="kito-")
            return Path(self._scratch.name)
        shared = getattr(self.pytest_config, "workerinput", {}).get("kito_staging")
        if shared:
            return Path(shared)
        if self._staging is None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._staging = ScratchFolder(folder)
            except OSError as error:
                raise KitoError(
                    f"{folder} cannot be written: {error.strerror}; check its permissions, or name "
                    "another folder with --kito-artifacts"
                ) from error
        return self._staging.path

    def share_staging(self) -> str | None:
        """For the workers of pytest-xdist: the staging folder of this session, if it has one."""
        if not self.options.check or self.options.artifacts is None:
            return None
        try:
            return str(self.staging())
        except KitoError:  # the checks say so
            return None

    def expect(self, names: Iterable[str]) -> None:
        """Note the model that each collected item needs; a name appears once per item."""
        self._expected = Counter(names)

    def item_done(self, name: str) -> None:
        """Count an item of a model; release the model after its last item."""
        self._expected[name] -= 1
        if self._expected[name] <= 0:
            self._release(name)

    def release_others(self, name: str | None) -> None:
        """Release every model but this one."""
        for held in list(self._runs):
            if held != name:
                self._release(held)

    def close(self) -> None:
        """Remove the temporary files."""
        if self._scratch is not None:
            self._scratch.cleanup()
        if self._staging is not None:
            self._staging.close()
        if self.options.artifacts is not None and not self.is_worker:
            sweep(self.options.artifacts)

    def _release(self, name: str) -> None:
        if name in self._runs:
            self._runs.pop(name).release()

    def _import(self) -> None:
        """Import the core with Keras and its backend; a phase of its own, as it takes seconds."""
        with self.clock.measure(IMPORT):
            import_keras()
            import kito.export.artifact
            import kito.rewrite.reduce
            import kito.runtime.devices
            import kito.runtime.load  # noqa: F401


def _require_packages(options: Options) -> None:
    """Stop the session before anything is built if a report needs packages that are not there."""
    if options.html is None:
        return
    try:
        require_extra("--kito-html")
    except KitoError as error:
        raise pytest.UsageError(str(error)) from error


def _part(config: Config, options: Options) -> tuple[ModelSpec, ...]:
    """The models of this session's shard."""
    if options.shard is None and options.timings is None:
        return config.models
    try:
        seconds = costs(config.models, config.base, options.timings)
    except KitoError as error:
        raise pytest.UsageError(f"--kito-timings: {error}") from error
    return shard(config.models, options.shard, seconds)


def _load(path: Path, root: Path, checks: bool) -> Config:
    try:
        # A session that uses only the fixtures writes no artifacts.
        return load_config(path, root=root, formats=checks)
    except ConfigError as error:
        raise pytest.UsageError(*error.errors) from error
