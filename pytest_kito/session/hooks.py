"""The pytest hooks of the gate, and the function that starts it.

Hooks are called by pytest; what they change is kept in :class:`pytest_kito.session.gate.Gate`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kito.errors import KitoError
from pytest_kito.checks.declared import declared_checks
from pytest_kito.checks.time_limit import announcement, timing_plan
from pytest_kito.config.load import ModelSpec
from pytest_kito.reports.results import Finding, as_data
from pytest_kito.session.gate import Gate
from pytest_kito.session.options import Options
from pytest_kito.session.reporter import Reporter

GATE = pytest.StashKey[Gate]()


def start(config: pytest.Config, options: Options) -> Gate:
    """Start the gate of this session.

    Raises:
        pytest.UsageError: kito.yaml is missing or invalid.
    """
    gate = Gate(config, options)
    config.stash[GATE] = gate
    config.pluginmanager.register(GateHooks(gate), "kito-gate")
    if options.check:
        gate.add_argument()
        if not gate.is_worker and not config.option.collectonly:
            config.pluginmanager.register(Reporter(gate), "kito-reporter")
    return gate


def gate_of(config: pytest.Config) -> Gate:
    """Return the gate of this session; start it if a fixture needs it without the checks."""
    gate = config.stash.get(GATE, None)
    return start(config, Options.from_config(config)) if gate is None else gate


class GateHooks:
    """A pytest plugin that collects the checks and releases each model after its last item."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def pytest_sessionstart(self) -> None:
        """Stop the session at its start if a required GPU is missing."""
        gate = self._gate
        if gate.options.check and gate.wanted_device == "gpu" and not gate.is_worker:
            option = "--kito-require-gpu" if gate.options.require_gpu else "--kito-device gpu"
            try:
                gate.device()
            except KitoError as error:
                raise pytest.UsageError(f"{option}: {error}") from error

    def pytest_report_header(self, config: pytest.Config) -> str | None:
        """pytest-xdist: say how long the timings may take; its controller collects nothing."""
        if not config.pluginmanager.hasplugin("dsession"):
            return None
        return self._announcement(
            timing_plan(spec.speedup, check.parameter).most_s
            for spec in self._gate.specs
            for check in declared_checks(spec)
            if spec.speedup is not None and check.section == "speedup"
        )

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> str | None:
        """Say how long the timings of the selected checks may take."""
        limits = (getattr(item, "limit_s", None) for item in items)
        return self._announcement(limit for limit in limits if limit is not None)

    def _announcement(self, limits_s: Iterable[float]) -> str | None:
        option = self._gate.pytest_config.option
        if not self._gate.options.check or option.collectonly or option.verbose < 0:
            return None
        return announcement(list(limits_s))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> object:
        """pytest-xdist: run checks that must stay together on one worker."""
        from pytest_kito.session.scheduling import scheduler

        gate = self._gate
        return scheduler(config, log, gate.config) if gate.options.check else None

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Collect the checks."""
        gate = self._gate
        if not gate.options.check or file_path != gate.config.path:
            return None
        from pytest_kito.session.items import KitoFile

        collector = KitoFile.from_parent(parent, path=file_path)
        collector.gate = gate
        return collector

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the items that need each model."""
        self._gate.expect(name for item in session.items for name in [_model(item)] if name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Release a model after the last item that needs it."""
        result = yield
        gate, name = self._gate, _model(item)
        if name:
            with gate.own.running():
                gate.item_done(name)
        if gate.is_worker:
            # A worker runs only some of the items, so the count does not reach zero. The next item
            # shows which model is still needed.
            following = None if nextitem is None else _model(nextitem)
            if following or nextitem is None:
                gate.release_others(following)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the finding of a check to the report of its item."""
        report = yield
        finding: Finding | None = getattr(item, "finding", None)
        if finding is not None and call.when == "call":
            report.kito = as_data(finding)  # type: ignore[attr-defined]
        return report

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """pytest-xdist: give the workers the controller's staging folder."""
        node.workerinput["kito_staging"] = self._gate.share_staging()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Remove temporary files; a pytest-xdist worker sends the seconds of its own work."""
        gate = self._gate
        gate.close()
        if gate.is_worker:
            gate.pytest_config.workeroutput["kito_seconds"] = gate.own.seconds  # type: ignore[attr-defined]


def _model(item: pytest.Item) -> str | None:
    """The name of the declared model that an item needs; None if it needs none."""
    spec = getattr(item, "spec", None)
    if isinstance(spec, ModelSpec):
        return spec.name
    params = getattr(getattr(item, "callspec", None), "params", {})
    name = params.get("kito_model_name")
    return name if isinstance(name, str) else None
