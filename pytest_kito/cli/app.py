"""The command line ``kito``: for people at a terminal, and what CI runs beside the tests.

Exit codes: 0 yes, 1 no (a check said no), 2 wrong use.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from kito.errors import KitoError, describe, printable, shown
from pytest_kito.cli import diff, files, models, shards
from pytest_kito.cli.answers import WRONG_USE
from pytest_kito.config.problems import ConfigError

_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
_LONGEST = 4000
"""The most characters of one message."""
_debugging: list[bool] = []
"""Not empty once ``--debug`` was given."""

app = typer.Typer(
    name="kito",
    help="Reduce trained Keras models for inference, and prove the result.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; print what is wrong on standard error, one line for each error.

    With ``--debug``, or ``KITO_DEBUG=1`` in the environment, the traceback stands above it.
    """
    _debugging.clear()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its number.
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _one_line
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    except Exception as error:
        if _debugging or os.environ.get("KITO_DEBUG") == "1":
            print(printable("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        _fail(*_messages(error))


def _messages(error: Exception) -> list[str]:
    """What is wrong, a line for each error."""
    if isinstance(error, ConfigError):
        return list(error.errors)
    if isinstance(error, KitoError | OSError):
        return [str(error)]
    if isinstance(error, MemoryError):
        return ["there is not enough memory; give fewer samples, or a smaller model"]
    return [f"unexpected {describe(error)}; please report it, with what kito --debug shows"]


def _one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    """A warning, such as of Keras, as a line; with where it was raised it would be two."""
    return f"kito: warning: {shown(' '.join(str(message).split()), _LONGEST)}\n"


def _fail(*messages: str) -> NoReturn:
    for message in messages:
        print("kito:", shown(" ".join(message.split()), _LONGEST), file=sys.stderr)
    raise SystemExit(WRONG_USE)


def _debug(wanted: bool) -> None:
    if wanted:
        _debugging.append(True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("pytest-kito"))
        raise typer.Exit


@app.callback()
def _common(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", callback=_debug, help="Show tracebacks; also: KITO_DEBUG=1."),
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
    diff.diff,
    files.verify,
):
    app.command()(_command)
