"""The terminal report: a table, at most 100 columns wide, and the reasons below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from pytest_kito.reports import cells, sentences
from pytest_kito.reports.results import ModelResult, Results

_WIDTH = 100
_NAME_WIDTH = 22
_RESULT_WIDTH = 8
_SHOWN = 3
_SENTENCE_LENGTH = 500
_COLOURS = {"failed": "red", "skipped": "yellow", "not run": "yellow", "passed": "green"}

Piece = tuple[str, str]
"""A text and its colour, which may be empty."""


class Terminal(Protocol):
    """The part of pytest's terminal reporter that is used; it drops colours if they are off."""

    def write(self, content: str, **markup: bool) -> None:
        """Write a part of a line."""

    def line(self, msg: str, **markup: bool) -> None:
        """Write the rest of a line, and end it."""


def show(results: Results, terminal: Terminal, *, verbosity: int = 0) -> None:
    """Write the report of a session.

    Args:
        results: what the session found.
        terminal: writes the lines.
        verbosity: pytest's: -1 (``-q``) shows the table only, less shows nothing.
    """
    for line in lines(results, verbosity):
        for text, colour in line:
            terminal.write(text, **({colour: True} if colour else {}))
        terminal.line("")


def lines(results: Results, verbosity: int = 0) -> Iterator[list[Piece]]:
    """The lines of the report, each a list of pieces with their colours."""
    if verbosity < -1:
        return
    machine = sentences.machine(results)
    if machine is not None:
        yield [(machine, "")]
    yield from _table(results.models)
    for model in results.models:
        for line in sentences.metrics(model):
            yield [(f"{model.name}: {line}", "")]
    if results.gpu_missing:
        yield [(sentences.NO_GPU, "yellow")]
    if verbosity < 0:
        return
    for model in results.models:
        yield from _notes(model)
    for reason, findings in sentences.by_sentence(results.findings, "skipped").items():
        yield [("skipped: ", "yellow"), (f"{sentences.names(findings)}: {reason}", "")]
    for model in results.models:
        yield from _left_alone(model)
    yield [(sentences.phases(results), "")]


def _table(models: Sequence[ModelResult]) -> Iterator[list[Piece]]:
    rows, colours = [cells.COLUMNS], [""]
    for model in models:
        added = cells.rows(model)
        rows += added
        colours += [_COLOURS[cells.result(model).partition(":")[0]], *[""] * (len(added) - 1)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(cells.COLUMNS) - 1)]
    # Names and results share the room that the figures leave, names take no more than they need.
    room = _WIDTH - sum(widths[1:]) - 2 * len(widths)
    widths[0] = max(min(widths[0], _NAME_WIDTH, room - _RESULT_WIDTH), 1)
    for row, colour in zip(rows, colours, strict=True):
        figures = zip(row[1:-1], widths[1:], strict=True)
        name = _clipped(row[0], widths[0]).ljust(widths[0])
        line = "  ".join([name, *(cell.rjust(width) for cell, width in figures)])
        result = _clipped(row[-1], room - widths[0])
        yield [(f"{line}  ", ""), (result, colour)] if result else [(line.rstrip(), "")]


def _notes(model: ModelResult) -> Iterator[list[Piece]]:
    """The reasons of failures and of passes with a reservation, and all warnings."""
    for outcome, colour in (("failed", "red"), ("passed", "yellow")):
        for sentence, findings in sentences.by_sentence(model.findings, outcome).items():
            about = f"{sentences.names(findings)}: "
            yield [(about, colour), (_clipped(sentence, _SENTENCE_LENGTH), "")]
    for finding in model.findings:
        for warning in finding.warnings:
            about = f"{sentences.names([finding])}: warning: "
            yield [(about, "yellow"), (" ".join(warning.split()), "")]


def _left_alone(model: ModelResult) -> Iterator[list[Piece]]:
    """What the reduction kept, and what both models share, and why: the first few of each."""
    for number, entries in sentences.left_alone(model).items():
        yield [(f"{model.name}: {number}", "")]
        for layer, reason in entries[:_SHOWN]:
            yield [(f"  - {layer}: {reason}", "")]
        if len(entries) > _SHOWN:
            more = len(entries) - _SHOWN
            yield [
                (
                    f"  - and {more} more: `kito explain {model.declared.source} --all` lists them",
                    "",
                )
            ]


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
