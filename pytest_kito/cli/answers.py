"""How the commands of ``kito`` answer: in text or JSON, and by their exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from kito.errors import printable
from kito.export.files import to_json
from pytest_kito.cli.tree import Branch, Page, draw, on_terminal

NO, WRONG_USE = 1, 2
"""Exit codes; 0 means yes."""
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def answer(
    result: dict[str, Any],
    text: str | Page,
    as_json: bool,
    yes: bool = True,
    rows: Sequence[Sequence[str]] = (),
) -> None:
    """Print a result, as JSON or as text for people; exit with :data:`NO` unless ``yes``.

    A page is drawn on a terminal, and plain text elsewhere. On a terminal, a table of ``rows``
    stands above a text.

    The text may hold names from a file, of layers say: nothing in it acts on a terminal, or on a
    CI runner that takes a line for a command.
    """
    from pytest_kito.reports.github import disarm

    if as_json:
        typer.echo(to_json(result))
    elif (rows or isinstance(text, Page)) and on_terminal():
        page = text if isinstance(text, Page) else Page("", rows, [*map(Branch, text.splitlines())])
        draw(page)
    else:
        plain = text.plain() if isinstance(text, Page) else text
        typer.echo(disarm(printable(plain)))
    if not yes:
        raise typer.Exit(NO)
