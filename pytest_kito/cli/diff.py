"""The command ``kito diff``: what changed between two runs of the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kito.errors import KitoError
from pytest_kito.cli.answers import Json, answer

Report = Annotated[
    Path, typer.Argument(help="A JSON report, or one that merge wrote.", show_default=False)
]


def diff(
    before: Report,
    after: Report,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table in Markdown.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what changed between two reports; exit code 1 if something got worse.

    Worse is: a check that passed and does not any more, a model or an artifact that is gone, a
    metric out of its bounds. Speed-ups are shown and never judged by this command, and a verdict on
    one counts only where both reports are of the same machine and versions.
    """
    from pytest_kito.reports.diff import diff_reports
    from pytest_kito.reports.diff_text import diff_markdown, diff_text

    if markdown and as_json:
        raise KitoError("--markdown and --json: the answer has one form; leave one out")
    found = diff_reports(before, after)
    text = diff_markdown(found) if markdown else diff_text(found)
    answer(found.to_dict(), text, as_json, yes=not found.worse)
