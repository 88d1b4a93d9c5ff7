"""The commands of ``kito`` that load models: reduce, explain, compare and bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kito.errors import KitoError, counted
from kito.export.formats.names import ENGINES, FORMAT_NAMES, split_file_name
from kito.rewrite.passes.names import DEFAULT_PASSES, PASSES
from kito.runtime.quiet import import_keras
from pytest_kito.cli.answers import Json, answer
from pytest_kito.cli.engine_bench import bench_in_engine, known_engine
from pytest_kito.cli.explain_html import check_html, write_explanation
from pytest_kito.cli.explanation import explain_module, explain_reduction
from pytest_kito.cli.html import measured, write_html
from pytest_kito.cli.loading import (
    Framework,
    Reduced,
    known_framework,
    load,
    reduce_source,
    reduced_model,
)
from pytest_kito.cli.progress import working
from pytest_kito.reports.html.extra import require_extra

if TYPE_CHECKING:
    from kito.equivalence.result import Comparison
    from kito.timing.budget import Budget
    from pytest_kito.cli.tree import Page

MODEL = "A .keras or .h5 file, or package.module:callable."
Model = Annotated[str, typer.Argument(help=MODEL, show_default=False)]
Data = Annotated[
    Path | None, typer.Option(help="An .npz file of inputs by name; random inputs without it.")
]
Samples = Annotated[int, typer.Option(help="Number of random samples.", min=2)]
Passes = Annotated[str, typer.Option(help=f"Comma-separated, out of {', '.join(PASSES)}.")]
Target = Annotated[str, typer.Option(help="any, cpu or gpu.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail where a layer cannot be copied, instead of sharing.")
]
_DEFAULT = ",".join(DEFAULT_PASSES)


def reduce(  # noqa: PLR0913 - each is an option of the command
    model: Model,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The file to write; its suffix tells the format."),
    ],
    passes: Passes = _DEFAULT,
    target: Target = "any",
    strict: Strict = False,
    data: Data = None,
    samples: Samples = 32,
    framework: Framework = "keras",
    as_json: Json = False,
) -> None:
    """Reduce a model, and write it if its outputs are the same."""
    name, artifact_format = _target_file(model, output, framework)
    with working() as shown:
        shown.on("starting Keras")
        import_keras()
        from kito.equivalence.compare import compare
        from kito.export.artifact import ArtifactDiffersError, write_artifact
        from kito.export.proof import Baseline
        from kito.runtime.inputs import resolve_inputs

        done = reduce_source(model, framework, shown, passes, target, strict, data)
        inputs = resolve_inputs(done.original, data, samples=samples)
        shown.on("comparing")
        comparison = compare(done.original, done.model, inputs)
        written, outcome = False, f"{output} is not written"
        if comparison.passed:
            shown.on(f"writing {output}")
            try:
                baseline = Baseline(done.original, inputs)
                write_artifact(done.model, baseline, output.parent, name, artifact_format)
                written, outcome = True, f"wrote {output}"
            except ArtifactDiffersError as error:
                outcome += f": {error}"
    result = {
        **done.reduction.to_dict(),
        "equivalence": _comparison_json(comparison),
        "written": written,
        "message": outcome,
    }
    lines = [*comparison.message().splitlines(), outcome]
    answer(result, _page(done, framework, False, lines), as_json, yes=written)


def _page(done: Reduced, framework: str, every: bool, more: Sequence[str] = ()) -> Page:
    explain_it: Any = explain_reduction if framework == "keras" else explain_module
    page: Page = explain_it(done.reduction, every, more)
    return page


def _target_file(model: str, output: Path, framework: str) -> tuple[str, str]:
    """The name and the format of the file to write; raises KitoError if it cannot be written."""
    named = split_file_name(output.name)
    if named is None:
        suffixes = ", ".join(kind.suffix for kind in FORMAT_NAMES.values())
        raise KitoError(f"{output} has no suffix of a format; use one of {suffixes}")
    _, artifact_format = named
    obstacle = FORMAT_NAMES[artifact_format].obstacle(known_framework(framework))
    if obstacle is not None:
        raise KitoError(f"'{artifact_format}' {obstacle}")
    if not output.parent.is_dir():
        raise KitoError(f"there is no directory {output.parent} to write {output.name} into")
    if output.is_dir():
        raise KitoError(f"{output} is a directory; name the file to write")
    if output.exists() and Path(model).exists() and output.samefile(model):
        raise KitoError(f"{output} is the model itself, which is never overwritten")
    return named


def explain(  # noqa: PLR0913 - each is an option of the command
    model: Model,
    passes: Passes = _DEFAULT,
    target: Target = "any",
    strict: Strict = False,
    every: Annotated[bool, typer.Option("--all", help="A line for every layer.")] = False,
    page_file: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page that shows the network before and after."),
    ] = None,
    data: Data = None,
    framework: Framework = "keras",
    as_json: Json = False,
) -> None:
    """Say what is rewritten in a model, what that saves, what is kept, and why."""
    if page_file is not None:
        check_html(page_file)
        if known_framework(framework) != "keras":
            raise KitoError("--html draws Keras models only; leave it out for a PyTorch module")
    with working() as shown:
        shown.on("starting Keras")
        import_keras()
        done = reduce_source(model, framework, shown, passes, target, strict, data)
    reduction: Any = done.reduction
    patterns = [x.to_dict() for x in getattr(reduction, "patterns", ())]
    page = _page(done, framework, every)
    if page_file is not None:
        write_explanation(reduction, page, page_file)
    answer({**reduction.to_dict(), "patterns": patterns}, page, as_json)


def compare(  # noqa: PLR0913 - each is an option of the command
    a: Model,
    b: Model,
    data: Data = None,
    samples: Samples = 32,
    rtol: Annotated[float | None, typer.Option(help="Relative tolerance; strict.", min=0)] = None,
    atol: Annotated[float | None, typer.Option(help="Absolute tolerance; strict.", min=0)] = None,
    framework: Framework = "keras",
    as_json: Json = False,
) -> None:
    """Compare the outputs of two models."""
    with working() as shown:
        shown.on("starting Keras")
        import_keras()
        from kito.equivalence import compare as comparison

        first, second = load(a, framework, shown), load(b, framework, shown)
        shown.on("comparing")
        result = comparison.compare(first, second, data, samples=samples, rtol=rtol, atol=atol)
    lines = [
        f"{name}: differs by at most {output.max_abs:.3g}, mean {output.mean_abs:.3g}, "
        f"scale {output.scale:.3g}, varies by {output.spread:.3g}; "
        f"rtol {output.required_rtol:.2g} would do"
        for name, output in result.outputs.items()
    ]
    text = "\n".join([*lines, result.message()])
    answer(_comparison_json(result), text, as_json, yes=result.passed, rows=result.rows())


def bench(  # noqa: PLR0913 - each is an option of the command
    a: Model,
    b: Annotated[str | None, typer.Argument(help=f"{MODEL} Without it: A, reduced.")] = None,
    data: Data = None,
    batch_size: Annotated[int, typer.Option(help="Samples per call.")] = 32,
    minimum: Annotated[float | None, typer.Option(help="The speed-up to reach.")] = None,
    budget: Annotated[
        str,
        typer.Option(help="Seconds to measure, at most; auto: what a verdict needs."),
    ] = "auto",
    jit: Annotated[str, typer.Option(help="XLA: auto, on or off.")] = "auto",
    engine: Annotated[
        str | None,
        typer.Option(help=f"Export both and time the files in {', '.join(ENGINES)}, on the CPU."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML report, too.")] = None,
    framework: Framework = "keras",
    as_json: Json = False,
) -> None:
    """Measure how many times as fast B is as A."""
    if html is not None:
        require_extra("--html")
    info = None if engine is None else known_engine(engine, known_framework(framework))
    with working() as shown:
        shown.on("starting Keras")
        import_keras()
        from kito.runtime.devices import prepare
        from kito.timing.protocol import Question
        from kito.timing.speedup import measure_speedup

        prepare("auto" if info is None else "cpu")
        first = load(a, framework, shown)
        if b is None:
            shown.on(f"reducing {a}")
            second = reduced_model(first, data)
        else:
            second = load(b, framework, shown)
        if info is not None:
            question = Question(minimum, budget_s=_seconds(budget))
            estimate = bench_in_engine((first, second), data, batch_size, question, info, shown)
        else:
            shown.measuring()
            estimate = measure_speedup(
                first,
                second,
                data,
                batch_size=batch_size,
                minimum=minimum,
                budget_s=_seconds(budget),
                jit=cast(Any, jit),  # measure_speedup checks the value
                progress=shown.pairs,
            )
    text = (
        f"{estimate.ratio:.3f}x as fast, {estimate.confidence:.0%} interval [{estimate.low:.3f}, "
        f"{estimate.high:.3f}], noise floor {estimate.noise_floor:.3f}\n"
        f"{estimate.original_ms[0]:.3f} ms -> {estimate.reduced_ms[0]:.3f} ms, median of "
        f"{counted(estimate.pairs, 'pair')} at batch {estimate.batch_size} on "
        f"'{estimate.device.name}'"
    )
    if info is not None:
        text += f", both in {info.engine} {estimate.engine_version}"
    if estimate.predict_ms is not None:
        text += f"\n{estimate.predict_ms:.3f} ms with predict, which is not part of the ratio"
    if estimate.verdict is not None:
        text += f"\n{estimate.verdict}: {estimate.explanation}"
    text = "\n".join([text, *estimate.warnings])
    if html is not None:
        write_html(measured(a if b is None else f"{a} and {b}", a, estimate), html)
    yes = estimate.verdict in (None, "pass")
    answer(asdict(estimate), text, as_json, yes=yes, rows=estimate.rows())


def _seconds(budget: str) -> Budget:
    try:
        return "auto" if budget == "auto" else float(budget)
    except ValueError:
        raise typer.BadParameter(
            f"{budget!r} is neither; give a number of seconds, or auto", param_hint="--budget"
        ) from None


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as in the JSON report, with what only the command line prints.

    ``first_departure`` is a name here; the layer with its difference is ``departure``.
    """
    data = comparison.to_dict()
    return {
        **data,
        "outputs": {
            name: {**output.to_dict(), "strict": output.strict, "faulty": output.faulty}
            for name, output in comparison.outputs.items()
        },
        "first_departure": comparison.first_departure,
        "departure": data["first_departure"],
        "reason": comparison.reason,
        "message": comparison.message(),
    }
