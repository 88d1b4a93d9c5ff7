"""The command line ``kito``: for people at a terminal, and what CI runs beside the tests.

Exit codes: 0 yes, 1 no (a check said no), 2 wrong use.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from kito.errors import KitoError
from kito.export.formats.names import FORMAT_NAMES, split_file_name
from kito.rewrite.passes.names import DEFAULT_PASSES, PASSES
from pytest_kito.cli import shards as cli_shards
from pytest_kito.cli.answers import WRONG_USE, Json, answer

app = typer.Typer(
    name="kito",
    help="Reduce trained Keras models for inference, and prove the result.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

MODEL = "A .keras or .h5 file, or package.module:callable."
Model = Annotated[str, typer.Argument(help=MODEL, show_default=False)]
Data = Annotated[
    Path | None, typer.Option(help="An .npz file of inputs by name; random inputs without it.")
]
Samples = Annotated[int, typer.Option(help="Number of random samples.", min=2)]
Passes = Annotated[str, typer.Option(help=f"Comma-separated, out of {', '.join(PASSES)}.")]
Target = Annotated[str, typer.Option(help="any, cpu or gpu.")]
_DEFAULT = ",".join(DEFAULT_PASSES)


def main() -> None:
    """Run the command line; what is wrong is one line on standard error."""
    # Set before TensorFlow starts: its notices are no part of our output.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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


@app.command()
def schema(
    report: Annotated[bool, typer.Option("--report", help="That of the JSON report.")] = False,
) -> None:
    """Print the JSON schema of kito.yaml."""
    schema_file = "reports/report.schema.json" if report else "config/kito.schema.json"
    typer.echo(files("pytest_kito").joinpath(schema_file).read_text("utf-8"))


@app.command()
def reduce(
    model: Model,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The file to write; its suffix tells the format."),
    ],
    passes: Passes = _DEFAULT,
    target: Target = "any",
    data: Data = None,
    samples: Samples = 32,
    as_json: Json = False,
) -> None:
    """Reduce a model, and write it if its outputs are the same."""
    from kito.equivalence.compare import compare
    from kito.export.artifact import ArtifactDiffersError, write_artifact
    from kito.export.proof import Baseline
    from kito.runtime.inputs import resolve_inputs

    named = split_file_name(output.name)
    if named is None:
        suffixes = ", ".join(kind.suffix for kind in FORMAT_NAMES.values())
        raise KitoError(f"{output} ends as no format's files do; the suffixes are {suffixes}")
    name, artifact_format = named
    if FORMAT_NAMES[artifact_format].missing:
        raise KitoError(f"'{artifact_format}' {FORMAT_NAMES[artifact_format].advice}")
    if not output.parent.is_dir():
        raise KitoError(f"there is no directory {output.parent} to write {output.name} into")
    if output.is_dir():
        raise KitoError(f"{output} is a directory; name the file to write")
    if output.exists() and Path(model).exists() and output.samefile(model):
        raise KitoError(f"{output} is the model itself, which is never overwritten")
    reduction = _reduce(model, passes, target)
    inputs = resolve_inputs(reduction.original, data, samples=samples)
    comparison = compare(reduction.original, reduction.model, inputs)
    written, outcome = False, f"{output} is not written"
    if comparison.passed:
        try:
            baseline = Baseline(reduction.original, inputs)
            write_artifact(reduction.model, baseline, output.parent, name, artifact_format)
            written, outcome = True, f"wrote {output}"
        except ArtifactDiffersError as error:
            outcome += f": {error}"
    result = {
        **_reduction_json(reduction),
        "equivalence": _comparison_json(comparison),
        "written": written,
        "message": outcome,
    }
    text = "\n".join([reduction.summary(), comparison.message(), outcome])
    answer(result, text, as_json, yes=written)


@app.command()
def explain(
    model: Model, passes: Passes = _DEFAULT, target: Target = "any", as_json: Json = False
) -> None:
    """Say what is rewritten in a model, what is kept, and why."""
    reduction = _reduce(model, passes, target)
    answer(_reduction_json(reduction), reduction.summary(), as_json)


@app.command()
def compare(
    a: Model,
    b: Model,
    data: Data = None,
    samples: Samples = 32,
    rtol: Annotated[float | None, typer.Option(help="Relative tolerance; strict.", min=0)] = None,
    atol: Annotated[float | None, typer.Option(help="Absolute tolerance; strict.", min=0)] = None,
    as_json: Json = False,
) -> None:
    """Compare the outputs of two models."""
    from kito.equivalence import compare as comparison

    found = comparison.compare(_load(a), _load(b), data, samples=samples, rtol=rtol, atol=atol)
    lines = [
        f"{name}: differs by at most {x.max_abs:.3g}, mean {x.mean_abs:.3g}, scale {x.scale:.3g}, "
        f"varies by {x.spread:.3g}; rtol {x.required_rtol:.2g} would do"
        for name, x in found.outputs.items()
    ]
    text = "\n".join([*lines, found.message()])
    answer(_comparison_json(found), text, as_json, yes=found.passed)


@app.command()
def bench(
    a: Model,
    b: Annotated[str | None, typer.Argument(help=f"{MODEL} Without it: A, reduced.")] = None,
    data: Data = None,
    batch_size: Annotated[int, typer.Option(help="Samples per call.")] = 32,
    minimum: Annotated[float | None, typer.Option(help="The speed-up to reach.")] = None,
    budget: Annotated[float, typer.Option(help="Seconds to measure, at most.")] = 60.0,
    jit: Annotated[str, typer.Option(help="XLA: auto, on or off.")] = "auto",
    as_json: Json = False,
) -> None:
    """Measure how many times as fast B is as A."""
    from kito.rewrite.reduce import reduce as reduce_model
    from kito.runtime.devices import prepare
    from kito.timing.speedup import measure_speedup

    prepare()
    first = _load(a)
    second = reduce_model(first).model if b is None else _load(b)
    found = measure_speedup(
        first,
        second,
        data,
        batch_size=batch_size,
        minimum=minimum,
        budget_s=budget,
        jit=cast(Any, jit),  # it says itself what is allowed
    )
    text = (
        f"{found.ratio:.3f}x as fast, {found.confidence:.0%} interval [{found.low:.3f}, "
        f"{found.high:.3f}], noise floor {found.noise_floor:.3f}\n"
        f"{found.original_ms[0]:.3f} ms -> {found.reduced_ms[0]:.3f} ms, median of {found.pairs} "
        f"pairs at batch {found.batch_size} on '{found.device.name}'"
    )
    if found.predict_ms is not None:
        text += f"\n{found.predict_ms:.3f} ms with predict, which is not part of the ratio"
    if found.verdict is not None:
        text += f"\n{found.verdict}: {found.explanation}"
    text = "\n".join([text, *found.warnings])
    answer(asdict(found), text, as_json, yes=found.verdict in (None, "pass"))


@app.command()
def init() -> None:
    """Write a kito.yaml that declares the .keras and .h5 files of this directory."""
    from pytest_kito.config.starter import write_starter

    path, count = write_starter(Path.cwd())
    typer.echo(f"wrote {path.name} with {count} models; now run: pytest --kito-check")


@app.command()
def plan(
    config: Annotated[Path, typer.Option(help="The kito.yaml.")] = Path("kito.yaml"),
    shards: Annotated[int, typer.Option(help="How many parts, at most.")] = 1,
    models: Annotated[str, typer.Option(help="Comma-separated names; default: all.")] = "",
    timings: Annotated[
        Path | None, typer.Option(help="An earlier JSON report: balance by its seconds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which models go to which of several jobs; builds none of them."""
    from pytest_kito.shards.plan import plan as plan_parts

    only = [name.strip() for name in models.split(",") if name.strip()]
    parts = plan_parts(config, shards, only, timings)
    text = "\n".join(f"{part.shard}/{len(parts)}: {', '.join(part.models)}" for part in parts)
    answer({"shards": len(parts), "include": [asdict(part) for part in parts]}, text, as_json)


app.command()(cli_shards.merge)
app.command()(cli_shards.merge_artifacts)
app.command()(cli_shards.summary)


@app.command()
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
        # kito.yaml is the plugin's: the only place where the core knows it.
        from pytest_kito.artifacts.verify import verify_by_running

        with redirect_stdout(sys.stderr):
            problems = verify_by_running(directory, config.absolute())
    else:
        problems = verify_files(directory)
    proved = "what was proved, and gives the same outputs" if run else "what was proved"
    text = "\n".join(problems) or f"every artifact in {directory} is {proved}"
    answer({"passed": not problems, "problems": problems}, text, as_json, yes=not problems)


def _load(source: str) -> Any:
    from kito.runtime.load import load_model

    # What the user's own code prints is no part of the answer.
    with redirect_stdout(sys.stderr):
        return load_model(source, base=Path.cwd())


def _reduce(source: str, passes: str, target: str) -> Any:
    from kito.rewrite.reduce import reduce as reduce_model

    names = [name.strip() for name in passes.split(",") if name.strip()]
    return reduce_model(_load(source), passes=names, target=target)


def _reduction_json(reduction: Any) -> dict[str, Any]:
    keys = ("layers", "parameters", "batchnorms", "precomputed", "opened", "seconds")
    return {
        **{key: getattr(reduction, key) for key in keys},
        "rewrites": [asdict(x) for x in reduction.rewrites],
        "kept": [asdict(x) for x in reduction.kept],
    }


def _comparison_json(comparison: Any) -> dict[str, Any]:
    return {**asdict(comparison), "message": comparison.message()}
