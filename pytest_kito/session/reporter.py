"""Collects the findings of a session, publishes the artifacts and writes the reports.

Only the process that the user started does so. The workers of pytest-xdist send it their findings.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kito.errors import KitoError
from kito.export.origin import head, origin
from pytest_kito.artifacts.publish import publish
from pytest_kito.checks.declared import declared_model
from pytest_kito.reports.github import in_actions, workflow_commands, write_summary
from pytest_kito.reports.html.history import History, read_history
from pytest_kito.reports.html.page import write_page
from pytest_kito.reports.json import report, write_report
from pytest_kito.reports.report import Report, write_all
from pytest_kito.reports.results import Finding, Results, as_data
from pytest_kito.reports.terminal import show

if TYPE_CHECKING:
    from pytest_kito.session.gate import Gate


_INTERRUPTED = (
    pytest.ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR,
    pytest.ExitCode.USAGE_ERROR,
)
_NO_FAILURE = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class Reporter:
    """A pytest plugin that collects the findings of the checks and reports them."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.results = Results(map(declared_model, gate.specs), gate.config.shown)
        self._withheld: list[str] = []
        self._problems: list[str] = []
        # Of now: another one may be checked out while the models are checked.
        self._commit = head(gate.config.base) if self._needs_origin() else None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which checks were selected. A session that stops early leaves some of them out."""
        self._select(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Iterable[str]) -> None:
        """pytest-xdist: only the workers collect."""
        self._select(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the finding of a check, made here or in a worker, and the outcome of its item."""
        finding = getattr(report, "kito", None)
        if finding is not None:
            self.results.add(finding)
        found = self._check(report.nodeid)
        if found is None:
            return
        model, check = found
        self.results.total += report.duration
        if report.failed and (finding is None or finding["outcome"] != "failed"):
            # The worker died, or something failed before or after the check.
            self.results.add(as_data(Finding(model, check, "failed", _reason(report))))
        elif report.skipped and not self.results.has_finding(model, check):
            self.results.add(as_data(Finding(model, check, "skipped", _reason(report))))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """pytest-xdist: add the seconds of a worker's own work."""
        self.results.total += getattr(node, "workeroutput", {}).get("kito_seconds", 0.0)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """Publish the artifacts of the models that passed, and write the reports.

        This comes before the terminal summary, which shows the problems. The annotations, one per
        line, come after it.
        """
        # A user's test that fails under -x, or pytest.exit(returncode=0), ends the session with a
        # status that does not tell that checks are missing.
        unfinished = self.results.unfinished
        self.results.interrupted = exitstatus in _INTERRUPTED or bool(unfinished)
        with self._gate.own.running():
            if self._needs_origin():
                self.results.origin = origin(self._gate.config.base, self._commit) or None
            self._publish()
        self.results.total += self._gate.own.seconds
        self._problems += write_all(self._reports(), self.results)
        if self._problems and session.exitstatus in _NO_FAILURE:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        if terminal.no_summary:  # pytest does not call pytest_terminal_summary
            self._show_problems(terminal)
        if in_actions():
            for line in workflow_commands(self.results, self._gate.config.path, os.environ):
                terminal.write_line(line)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the table of the models, and the problems of publishing and reporting."""
        verbosity = terminalreporter.verbosity
        if self.results.models and verbosity >= -1:
            terminalreporter.section("kito")
            show(self.results, terminalreporter, verbosity=verbosity)
        self._show_problems(terminalreporter)

    def _select(self, nodeids: Iterable[str]) -> None:
        for found in map(self._check, nodeids):
            if found is not None:
                self.results.select(*found)

    def _check(self, nodeid: str) -> tuple[str, str] | None:
        """The model and the name of the declared check that an item is; None for another test."""
        file, model, check = ["", "", *nodeid.split("::")][-3:]
        check = check.partition("@")[0]  # pytest-xdist adds the item's group
        if Path(file).name != self._gate.config.path.name:
            return None
        return (model, check) if self.results.declares(model, check) else None

    def _needs_origin(self) -> bool:
        """Whether a file is to be written that says of which commit it is."""
        options = self._gate.options
        return any(x is not None for x in (options.artifacts, options.report, options.html))

    def _publish(self) -> None:
        folder = self._gate.options.artifacts
        if folder is None:
            return
        try:
            published = publish(self.results, folder, self.results.origin or {})
        except (KitoError, OSError) as error:
            self._problems.append(f"the artifacts are not published to {folder}: {error}")
        else:
            self._withheld += published.withheld
            self._problems += published.faults

    def _reports(self) -> Iterator[Report]:
        """The report files that the user or GitHub Actions requested."""
        options = self._gate.options
        html = None if options.html is None else self._html(options.html)
        if options.report is not None:
            yield Report("JSON report", options.report, "--kito-report", write_report)
        if html is not None:
            yield html
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and self.results.models:
            yield Report("step summary", Path(summary), "GITHUB_STEP_SUMMARY", write_summary)

    def _html(self, path: Path) -> Report:
        """The HTML report, with the history as it is before this session's reports are written."""
        try:
            past = read_history(self._gate.options.html_history)
        except KitoError as error:
            self._problems.append(f"--kito-html-history: {error}")
            past = History()
        self._withheld += [f"skipped in the history: {line}" for line in past.warnings]

        def write(results: Results, file: Path) -> None:
            write_page(report(results), file, past)

        return Report("HTML report", path, "--kito-html", write)

    def _show_problems(self, terminal: Any) -> None:
        for line in self._withheld:
            terminal.write_line(line, yellow=True)
        for line in self._problems:
            terminal.write_line(line, red=True)


def _reason(report: pytest.TestReport) -> str:
    """Why an item without a finding failed or was skipped."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    # An exception gives the reason in its first line; pytest-xdist, for a dead worker, in the last.
    lines = report.longreprtext.splitlines()[-1:] if crash is None else crash.message.splitlines()
    when = {"setup": "before the check: ", "teardown": "after the check: "}
    return when.get(str(report.when), "") + (lines[0] if lines else "no reason was given")
