"""What production runs: the original, KITO's passes and ours in each engine.

A cell is a network in an engine, with both batch sizes, so that it is exported once. On two cores a
cell takes half a minute to two minutes in TensorFlow, and one to three in another engine, half of
it the exports: 90 minutes in all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import networks
from benchmarks.engine_files import TOLERANCE, Files, export_forms, forms_of
from benchmarks.engine_report import BATCHES, ENGINES, NETWORKS, plot, readme, table
from benchmarks.rounds import Times, milliseconds, quick, ratio, take_rounds

if TYPE_CHECKING:
    from kito.export.engines.process import EngineProcess
    from kito.export.engines.protocol import Batch

__all__ = ["ABOUT", "LIMIT_S", "TITLE", "cells", "measure", "plot", "readme", "table"]
TITLE = "Speed in the engines of production"
ABOUT = """\
Each network in three forms: the original, KITO's passes (`passes=("fold_batchnorm",)`), and kito
(`kito.reduce`). In TensorFlow each is one compiled call (`tf.function`). For the other engines, the
first two are exported by Keras (`model.export`), ours is the artifact that kito writes; the three
files run side by side in one process of the engine, on two threads in float32, after the engine's
own optimizer. Ratios are times of the original over times of the form, within rounds: above 1 is
faster. Outputs were compared with those of the original Keras model first: a file that computes
something else is an error, not a figure."""
THREADS = 2
ROUNDS, BUDGET_S = 200, 6.0
"""Of each engine and batch size, at most."""
LIMIT_S = 1200.0


class EngineCellError(Exception):
    """A form cannot be timed, or computes something else than the original Keras model."""


def cells() -> tuple[str, ...]:
    return tuple(f"{network}/{engine}" for engine in ENGINES for network in NETWORKS)


def measure(cell: str) -> dict[str, Any]:
    from kito.runtime.batch import call_arguments

    network, engine = cell.split("/")
    _use_threads()
    start = perf_counter()
    model = networks.build_random(network, 96 if quick() else None)
    models = forms_of(model)
    inputs = networks.images(model, max(BATCHES))
    outputs = {form: np.asarray(x(call_arguments(x, inputs))) for form, x in models.items()}
    differences = {form: _difference(x, outputs["original"]) for form, x in outputs.items()}
    if wrong := {form: x for form, x in differences.items() if not x <= TOLERANCE}:
        raise EngineCellError(f"the Keras models differ from the original: {wrong}")
    built = round(perf_counter() - start, 1)
    if engine == "tensorflow":
        row = _in_tensorflow(models, inputs) | {"differences": differences}
    else:
        row = _in_engine(models, inputs, outputs["original"], engine)
    row["seconds"] = {"build": built, **row["seconds"], "all": round(perf_counter() - start, 1)}
    return row


def _use_threads() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)


def _in_tensorflow(models: Mapping[str, Any], inputs: Batch) -> dict[str, Any]:
    import tensorflow as tf

    from kito.export.engine_speedup import cpu
    from kito.runtime.devices import compiled_call

    batches, start = {}, perf_counter()
    for batch in BATCHES:
        few = _first(inputs, batch)
        calls = {form: compiled_call(model, few, cpu()) for form, model in models.items()}
        times = take_rounds(calls, rounds=ROUNDS, budget_s=BUDGET_S)
        batches[str(batch)] = _figures(times)
    return {
        "version": str(tf.__version__),
        "threads": THREADS,
        "precision": "f32",
        "missing": {},
        "batches": batches,
        "seconds": {"rounds": round(perf_counter() - start, 1)},
    }


def _in_engine(
    models: Mapping[str, Any], inputs: Batch, expected: np.ndarray, engine: str
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kito-") as folder:
        files = export_forms(models, inputs, engine, Path(folder))
        start = perf_counter()
        differences = _leave_out_wrong(files, inputs, expected, engine)
        with _process(engine) as process:
            facts = {form: process.load(form, path, form) for form, path in files.paths.items()}
            loaded = perf_counter()
            batches = {str(batch): _rounds(process, files, inputs, batch) for batch in BATCHES}
            ended = perf_counter()
    return {
        "version": facts["ours"].version,
        "threads": facts["ours"].threads,
        "precision": facts["ours"].precision or "f32",
        "bytes": files.bytes,
        "missing": files.missing,
        "differences": differences,
        "batches": batches,
        "seconds": {
            "export": files.seconds,
            "load": round(loaded - start, 1),
            "rounds": round(ended - loaded, 1),
        },
    }


def _process(engine: str) -> EngineProcess:
    from kito.export.engines.process import EngineProcess
    from kito.export.engines.protocol import Settings

    return EngineProcess(engine, ENGINES[engine], Settings("cpu", THREADS))


def _difference(values: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value; infinite for other shapes."""
    if values.shape != expected.shape:
        return float("inf")
    return float(np.abs(values - expected).max() / np.abs(expected).max())


def _leave_out_wrong(
    files: Files, inputs: Batch, expected: np.ndarray, engine: str
) -> dict[str, float]:
    """Leave out files that their engine cannot run, or that compute something else.

    Each has a process of its own, for an engine may crash.

    Returns:
        The difference of each form that ran, relative to the largest expected value.

    Raises:
        EngineCellError: it is ours that is left out.
    """
    differences = {}
    for form, path in list(files.paths.items()):
        with files.attempt(form), _process(engine) as process:
            facts = process.load(form, path, f"the file of form {form}")
            if unknown := set(facts.takes) - set(inputs):
                raise EngineCellError(f"the file takes inputs that the model has not: {unknown}")
            differences[form] = _difference(process.run(form, inputs)[0], expected)
            if not differences[form] <= TOLERANCE:  # NaN is wrong, too
                files.leave_out(
                    form, f"the outputs are off by {differences[form]:.2g} of the scale"
                )
    if "ours" in files.missing:
        also = ", ".join(sorted(files.missing.keys() - {"ours"}))
        others = f" (and neither can {also})" if also else ""
        raise EngineCellError(f"ours cannot be timed{others}: {files.missing['ours']}")
    return differences


def _rounds(process: EngineProcess, files: Files, inputs: Batch, batch: int) -> dict[str, Any]:
    from kito.export.engine_speedup import RemoteClock

    clock = RemoteClock()
    for form in files.paths:
        process.prepare(form, _first(inputs, batch))

    def timed(form: str) -> Callable[[], None]:
        return lambda: clock.took(process.call(form))

    calls = {form: timed(form) for form in files.paths}
    return _figures(take_rounds(calls, rounds=ROUNDS, budget_s=BUDGET_S, clock=clock))


def _first(inputs: Batch, batch: int) -> dict[str, np.ndarray]:
    return {name: values[:batch] for name, values in inputs.items()}


def _figures(times: Times) -> dict[str, Any]:
    """The median times, and the ratio of each form to the original, where that was timed."""
    figures: dict[str, Any] = {
        "rounds": len(times["ours"]),
        "ms": {form: milliseconds(x) for form, x in times.items()},
    }
    if "original" in times:
        others = [form for form in times if form != "original"]
        figures |= {form: ratio(times["original"], times[form]) for form in others}
    return figures
