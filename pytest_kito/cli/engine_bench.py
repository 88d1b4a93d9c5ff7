"""``kito bench --engine``: two models, exported to the format of an engine and timed in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError, nearest
from kito.export.formats.names import ENGINES, FormatInfo, available_format

if TYPE_CHECKING:
    from kito.runtime.batch import Inputs
    from kito.timing.protocol import Question
    from kito.timing.result import SpeedupEstimate
    from pytest_kito.cli.progress import Working


def known_engine(name: str, framework: str = "keras") -> FormatInfo:
    """The format of an engine.

    Args:
        name: one of :data:`kito.export.formats.names.ENGINES`.
        framework: ``keras`` or ``torch``: what is to be run.

    Raises:
        KitoError: there is no such engine, it cannot run such a model, or its packages are not
            installed.
    """
    if name not in ENGINES:
        known = f"{nearest(name, ENGINES)}there are: {', '.join(ENGINES)}"
        raise KitoError(f"no engine {name!r}; {known}")
    return available_format(name, framework)


def bench_in_engine(
    models: tuple[Any, Any],
    data: Any,
    batch_size: int,
    question: Question,
    info: FormatInfo,
    shown: Working,
) -> SpeedupEstimate:
    """Export both models, prove that each file computes what its model does, and time the files.

    The first is written as Keras exports it, the second as an artifact is.

    Args:
        models: the original, and what may be faster.
        data: inputs of the original; None for random ones.
        batch_size: samples per call.
        question: the minimum, the confidence and the budget.
        info: the format, from :func:`known_engine`.
        shown: what the terminal shows meanwhile.

    Raises:
        KitoError: a model cannot be exported, its file computes something else, or cannot be timed.
    """
    from kito.export.engine_speedup import FileSide, cpu, measure_in_engine
    from kito.runtime.inputs import resolve_inputs
    from kito.runtime.pair import as_functional_pair, renamed_inputs
    from kito.runtime.torch_pair import wrapped_modules
    from kito.timing.speedup import timed_batch

    *pair, data = wrapped_modules(*models, data)
    first, second = as_functional_pair(*pair)
    inputs = resolve_inputs(first, data)
    batch = timed_batch(first, inputs, batch_size)
    with tempfile.TemporaryDirectory(prefix="kito-") as name:
        folder, sides = Path(name), []
        for which, model in (("original", first), ("reduced", second)):
            shown.on(f"writing the {which} as {info.name}, and proving the file")
            own = renamed_inputs(inputs, first, model)
            path = _export(model, own, info, folder, which)
            sides.append(FileSide(path, renamed_inputs(batch, first, model)))
        shown.measuring()
        return measure_in_engine(
            info.name, cpu(), sides[0], sides[1], question, progress=shown.pairs
        )


def _export(model: Any, inputs: Inputs, info: FormatInfo, folder: Path, name: str) -> Path:
    """Write a model; unlike an artifact, its outputs need not vary with the input."""
    from kito.export.engine_speedup import engine_process, loader
    from kito.export.failure import failure
    from kito.export.formats.interface import Interface
    from kito.export.proof import Baseline, prove

    own = folder / name
    own.mkdir()
    path = own / f"{name}{info.suffix}"
    try:
        rewrite = name == "reduced"
        info.implementation().write(model, path, name, Interface.of(model), rewrite)
    except Exception as error:  # whatever an exporter raises
        what = f"'{model.name}' cannot be written as {info.name}"
        raise failure(what, error, "Try another engine, or none", own) from error
    with engine_process(info, "cpu") as process:
        comparison = prove(
            path, info.name, Baseline(model, inputs), loader(process, info)
        ).comparison
    outputs = comparison.outputs.values()
    if not comparison.passed and any(x.faulty or x.max_abs > x.allowed for x in outputs):
        first = comparison.message().splitlines()[0]
        raise KitoError(f"'{model.name}', exported and run by {info.engine}, differs: {first}")
    return path
