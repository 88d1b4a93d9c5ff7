"""The commands of ``kito`` that read and write files only: schema, init and verify."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from kito.errors import counted
from kito.runtime.quiet import import_keras
from pytest_kito.cli.answers import Json, answer


def schema(
    report: Annotated[bool, typer.Option("--report", help="That of the JSON report.")] = False,
) -> None:
    """Print the JSON schema of kito.yaml."""
    schema_file = "reports/report.schema.json" if report else "config/kito.schema.json"
    typer.echo(files("pytest_kito").joinpath(schema_file).read_text("utf-8"))


def init() -> None:
    """Write a kito.yaml that declares the .keras and .h5 files of this directory."""
    from pytest_kito.config.starter import write_starter

    path, count = write_starter(Path.cwd())
    typer.echo(f"wrote {path.name} with {counted(count, 'model')}; now run: pytest --kito-check")


def verify(
    directory: Annotated[Path, typer.Argument(help="A directory of artifacts.")],
    run: Annotated[
        bool, typer.Option("--run", help="Run each by its engine, and compare again.")
    ] = False,
    config: Annotated[
        Path, typer.Option(help="With --run: the file that declares the models.")
    ] = Path("kito.yaml"),
    as_json: Json = False,
) -> None:
    """Check the artifacts of a directory against their manifest."""
    from kito.export.manifest import verify as verify_files

    if run:
        import_keras()
        from pytest_kito.artifacts.verify import verify_by_running

        with redirect_stdout(sys.stderr):
            problems = verify_by_running(directory, config.absolute())
    else:
        problems = verify_files(directory)
    proved = "what was proved, and gives the same outputs" if run else "what was proved"
    text = "\n".join(problems) or f"every artifact in {directory} is {proved}"
    answer({"passed": not problems, "problems": problems}, text, as_json, yes=not problems)
