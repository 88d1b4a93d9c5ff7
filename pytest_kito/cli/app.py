"""The command line ``kito``: for people at a terminal, and what CI runs beside the tests.

Exit codes: 0 yes, 1 no (a check said no), 2 wrong use.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from kito.errors import KitoError
from pytest_kito.cli import files, models, shards
from pytest_kito.cli.answers import WRONG_USE

app = typer.Typer(
    name="kito",
    help="Reduce trained Keras models for inference, and prove the result.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; print an error as one line on standard error."""
    try:
        app()
    except KitoError as error:
        print("kito:", *str(error).split(), file=sys.stderr)
        raise SystemExit(WRONG_USE) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("pytest-kito"))
        raise typer.Exit


@app.callback()
def _common(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reduce trained Keras models for inference, and prove the result."""


for _command in (
    files.schema,
    models.reduce,
    models.explain,
    models.compare,
    models.bench,
    files.init,
    shards.plan,
    shards.merge,
    shards.merge_artifacts,
    shards.summary,
    files.verify,
):
    app.command()(_command)
