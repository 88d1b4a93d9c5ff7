"""The commands of ``kito`` that read and write files only: schema, init and verify."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kito.errors import KitoError, counted
from kito.runtime.quiet import import_keras
from pytest_kito.cli.answers import Json, answer
from pytest_kito.cli.progress import working

if TYPE_CHECKING:
    from kito.export.attestation import Trust


def schema(
    report: Annotated[bool, typer.Option("--report", help="That of the JSON report.")] = False,
) -> None:
    """Print the JSON schema of kito.yaml."""
    schema_file = "reports/report.schema.json" if report else "config/kito.schema.json"
    typer.echo(files("pytest_kito").joinpath(schema_file).read_text("utf-8"))


def init(
    workflow: Annotated[
        bool, typer.Option("--workflow", help="Also write .github/workflows/kito.yml.")
    ] = False,
    test: Annotated[bool, typer.Option("--test", help="Also write tests/test_kito.py.")] = False,
    as_json: Json = False,
) -> None:
    """Write a kito.yaml that declares the models of this directory; overwrite nothing.

    With --workflow or --test, a kito.yaml that is there stays as it is. A new one declares the
    .keras and .h5 files below, and offers functions that seem to build a model as comments; where
    there are no files, those that need no arguments are declared. No code is run.
    """
    from pytest_kito.config.starter.companions import WORKFLOW
    from pytest_kito.config.starter.write import CONFIG, write_starter

    written = write_starter(Path.cwd(), with_workflow=workflow, with_test=test)
    result = {
        "files": [path.as_posix() for path in written.files],
        "models": list(written.models),
        "offered": list(written.offered),
    }
    text = f"wrote {', '.join(result['files'])}"
    if CONFIG in written.files:
        text += f" with {counted(len(written.models), 'model')}"
    if written.offered:
        count = counted(len(written.offered), "function")
        text += f"\n{count} that may build a model: uncomment in kito.yaml what is to be checked"
    if workflow:
        text += f"\nreplace OWNER and COMMIT in {WORKFLOW.as_posix()}, as its first lines say"
    answer(result, f"{text}\nnow run: pytest --kito-check", as_json)


def verify(  # noqa: PLR0913 - each is an option of the command
    directory: Annotated[Path, typer.Argument(help="A directory of artifacts.")],
    run: Annotated[
        bool, typer.Option("--run", help="Run each by its engine, and compare again.")
    ] = False,
    config: Annotated[
        Path, typer.Option(help="With --run: the file that declares the models.")
    ] = Path("kito.yaml"),
    attestation: Annotated[
        bool, typer.Option("--attestation", help="Verify who signed the manifest; needs gh.")
    ] = False,
    repo: Annotated[
        str | None,
        typer.Option(
            envvar="GITHUB_REPOSITORY",
            help="With --attestation: OWNER/REPOSITORY whose workflow must have signed.",
        ),
    ] = None,
    signer_repo: Annotated[
        str | None,
        typer.Option(help="With --attestation: where the file of a reusable workflow is."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="With --attestation: signatures that gh attestation download wrote."),
    ] = None,
    trusted_root: Annotated[
        Path | None,
        typer.Option(help="With --attestation: keys that gh attestation trusted-root wrote."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the artifacts of a directory against their manifest, and who signed it."""
    from kito.export.manifest import verify as verify_files

    trust = _trust(repo, signer_repo, bundle, trusted_root) if attestation else None
    if run:
        with working() as shown:
            shown.on("starting Keras")
            import_keras()
            from pytest_kito.artifacts.verify import verify_by_running

            shown.on(f"running the artifacts in {directory}")
            with redirect_stdout(sys.stderr):
                problems = verify_by_running(directory, config.absolute())
    else:
        problems = verify_files(directory)
    text = f"every artifact in {directory} is what was proved"
    text += ", and gives the same outputs" if run else ""
    result: dict[str, Any] = {}
    if trust is not None:
        from kito.export.attestation import Attestation, verify_attestation

        found = verify_attestation(directory, trust)
        result["attestation"] = None
        if isinstance(found, Attestation):
            result["attestation"] = found.to_dict()
            text += f"\nsigned by {found.workflow}\nin {found.run} at commit {found.commit}"
        else:
            problems = [*problems, found]
    result = {"passed": not problems, "problems": problems, **result}
    answer(result, "\n".join(problems) or text, as_json, yes=not problems)


def _trust(
    repo: str | None, signer_repo: str | None, bundle: Path | None, trusted_root: Path | None
) -> Trust:
    from kito.export.attestation import Trust

    if repo is None:
        # The manifest names a repository, but whoever made the directory wrote the manifest.
        raise KitoError(
            "--attestation needs the repository that you trust: --repo OWNER/REPOSITORY"
        )
    return Trust(repo, signer_repo, bundle, trusted_root)
