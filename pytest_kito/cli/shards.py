"""The commands of ``kito`` for sharded runs: plan the shards, join their reports and artifacts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kito.errors import KitoError, counted
from kito.export.files import to_json, write_text
from pytest_kito.cli.answers import NO, Json, answer
from pytest_kito.cli.html import write_html
from pytest_kito.reports.html.extra import require_extra


def plan(
    config: Annotated[Path, typer.Option(help="The kito.yaml.")] = Path("kito.yaml"),
    shards: Annotated[int, typer.Option(help="How many shards, at most.")] = 1,
    models: Annotated[str, typer.Option(help="Comma-separated names; default: all.")] = "",
    timings: Annotated[
        Path | None, typer.Option(help="An earlier JSON report: balance by its seconds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which models go to which of several jobs; builds none of them."""
    from pytest_kito.shards.plan import plan as plan_shards

    planned = plan_shards(config, shards, _names(models), timings)
    text = "\n".join(f"{x.shard}/{len(planned)}: {', '.join(x.models)}" for x in planned)
    answer({"shards": len(planned), "include": [asdict(x) for x in planned]}, text, as_json)


def merge(
    reports: Annotated[list[Path], typer.Argument(help="JSON reports of shards.")],
    models: Annotated[
        str, typer.Option(help="Comma-separated names: models that must have been checked.")
    ] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="With --models: all of their checks must have been run.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: standard output.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML report, too.")] = None,
    history: Annotated[
        Path | None, typer.Option(help="With --html: a directory of JSON reports of past runs.")
    ] = None,
) -> None:
    """Join the JSON reports of shards; exit code 1 if one of them did not pass."""
    from pytest_kito.reports.html.history import read_history
    from pytest_kito.reports.merge import merge_reports

    if html is not None:
        require_extra("--html")
    elif history is not None:
        raise KitoError("--history is for the HTML report: give --html FILE, too")
    # Before the merged report is written, which may be to the same directory.
    past = read_history(history)
    merged = merge_reports(reports, _names(models), whole=whole)
    text = to_json(merged) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        try:
            write_text(output, text)
        except OSError as error:
            raise KitoError(f"{output} cannot be written: {error.strerror}") from error
    if html is not None:
        write_html(merged, html, past)
    if merged.get("missing"):
        how = "not checked, or not by all of their checks" if whole else "not checked"
        names = ", ".join(ascii(name)[1:-1] for name in merged["missing"])
        typer.echo(f"kito: {how}: {names}", err=True)
    if not merged["passed"]:
        raise typer.Exit(NO)


def merge_artifacts(
    output: Annotated[Path, typer.Option("-o", "--output", help="The directory to fill.")],
    directories: Annotated[
        list[Path] | None, typer.Argument(help="Directories of artifacts, of shards.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="The merged report: there must be exactly the artifacts that it proves."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify directories of artifacts, and copy them into one with one manifest."""
    from kito.export.publishing import merge_folders
    from pytest_kito.artifacts.proved import require_proved

    folders = directories or []
    # Without a proved artifact there is nothing to fill, and the directory is not created.
    expected = True if report is None else require_proved(report, folders)
    try:
        names = merge_folders(folders, output) if expected else []
    except OSError as error:
        raise KitoError(f"{output} cannot be filled: {error}") from error
    text = f"{output} holds the {counted(len(names), 'artifact')} of "
    text += counted(len(folders), "directory", "directories")
    answer({"files": names}, text if names else "there is no artifact to merge", as_json)


def summary(
    report: Annotated[Path, typer.Argument(help="A JSON report, or one that merge wrote.")],
) -> None:
    """Print the table of a report in Markdown."""
    from pytest_kito.reports.merge import merge_reports
    from pytest_kito.reports.summary import summary as table

    try:
        text = table(merge_reports([report]))
    except KeyError as error:
        raise KitoError(
            f"{report} is not a report of pytest --kito-report: it lacks {error}"
        ) from error
    typer.echo(text, nl=False)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
