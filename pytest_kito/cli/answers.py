"""How the commands of ``kito`` answer: in text or JSON, and by their exit code."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kito.export.files import to_json

NO, WRONG_USE = 1, 2
"""Exit codes; 0 means yes."""
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def answer(result: dict[str, Any], text: str, as_json: bool, yes: bool = True) -> None:
    """Print a result, as JSON or as text for people; exit with :data:`NO` unless ``yes``."""
    typer.echo(to_json(result) if as_json else text)
    if not yes:
        raise typer.Exit(NO)
