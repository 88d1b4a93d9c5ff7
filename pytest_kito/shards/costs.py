"""Estimates how long the checks of a declared model take, so that shards can be balanced.

The seconds of an earlier JSON report are used where there are any. Otherwise the estimate comes
from what is known without building a model or importing Keras: the time budget of its timings, and

    seconds = SETUP + FORMAT * formats + METRIC * evaluations of metrics
              + WORK * parameters * numbers in a sample * samples

The parameters and the input shapes are read from the model file. A callable is assumed to return a
network of :data:`PARAMETERS` parameters on images of :data:`SIDE` x :data:`SIDE` x 3, unless
``inputs.shape``, ``kwargs: {input_shape: ...}`` or a weights file give other figures. The constants
are rough measurements on two CPU cores; only their proportions matter.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kito.runtime.import_path import MODEL_FILES
from kito.runtime.model_file import file_inputs, is_shape, read_model_file
from pytest_kito.checks.time_limit import timing_plan
from pytest_kito.config.load import ModelSpec
from pytest_kito.config.schema import SpeedupSpec
from pytest_kito.reports.read import read_report

SETUP = 5.0
"""Seconds that every model takes."""
FORMAT = 3.0
"""Seconds for each artifact format."""
METRIC = 0.5
"""Seconds for each metric on the original, where it runs twice, the reduced model and each file."""
WORK = 5e-13
"""Seconds for each parameter and number of the samples."""
PARAMETERS = 10e6
"""The number of parameters where it is unknown."""
SIDE = 224
"""The size of a dimension where it is unknown."""


@dataclass(frozen=True)
class _FileFacts:
    """Facts about a model that are read from its file; None if unknown.

    Attributes:
        parameters: roughly how many, from the size of the file or of its weights.
        inputs: shapes without the batch axis, by input name; None is an open dimension.
    """

    parameters: float | None = None
    inputs: Mapping[str, Sequence[int | None]] | None = None


def costs(specs: Sequence[ModelSpec], base: Path, timings: Path | None = None) -> dict[str, float]:
    """The estimated seconds of each model, by its name.

    Args:
        specs: the models.
        base: the directory that their files are relative to.
        timings: an earlier JSON report. A model that is not in it costs the median of those that
            are in it; if none is, all costs are estimated.

    Raises:
        KitoError: ``timings`` is not a valid report.
    """
    seconds = {} if timings is None else _seconds(timings)
    known = {spec.name: seconds[spec.name] for spec in specs if spec.name in seconds}
    if known:
        typical = statistics.median(known.values())
        return {spec.name: known.get(spec.name, typical) for spec in specs}
    files: dict[Path, _FileFacts] = {}
    return {spec.name: estimate(spec, base, files) for spec in specs}


def estimate(spec: ModelSpec, base: Path, files: dict[Path, _FileFacts] | None = None) -> float:
    """Estimate the seconds that the checks of a model take, from its declaration and its file.

    Args:
        spec: the model.
        base: the directory that its files are relative to.
        files: a cache of the facts by file; the function adds to it.
    """
    files = {} if files is None else files
    facts = _FileFacts()
    path = base / spec.source
    if spec.source.endswith(MODEL_FILES):
        if path not in files:
            files[path] = _read_file(path)
        facts = files[path]
    parameters = facts.parameters
    if spec.weights not in ("as-built", "random"):
        parameters = _size(base / spec.weights) / 4
    work = (parameters or PARAMETERS) * _numbers(spec, facts) * spec.inputs.samples
    timings = 0.0
    if spec.speedup is not None:
        in_engines = map(spec.speedup.in_engine, spec.speedup.engines)
        timings = sum(map(_timing, (spec.speedup, *in_engines)))
    evaluations = len(spec.metrics) * (3 + len(spec.artifacts))
    fixed = SETUP + FORMAT * len(spec.artifacts) + METRIC * evaluations
    return fixed + WORK * work + timings


def _timing(spec: SpeedupSpec) -> float:
    """The seconds of the timings, at all batch sizes."""
    # With the budget auto, most calls are fast enough for the usual seconds.
    return timing_plan(spec).usual_s * len(spec.batch_size)


def _seconds(report: Path) -> dict[str, float]:
    """The seconds of each model in a report, without those that took none."""
    seconds = {}
    for model in read_report(report)["models"]:
        spent = sum((model.get("seconds") or {}).values())
        if spent > 0:
            seconds[model["name"]] = float(spent)
    return seconds


def _numbers(spec: ModelSpec, facts: _FileFacts) -> float:
    """How many numbers one sample has, over all inputs."""
    shapes = {**(facts.inputs or {}), **spec.inputs.shape}
    given = spec.kwargs.get("input_shape")
    if not shapes and isinstance(given, list) and is_shape(given):
        shapes = {"": given}
    if not shapes:
        return SIDE * SIDE * 3
    # Floats: a product of whole numbers may have millions of digits.
    return sum(
        math.prod(float(SIDE if size is None else size) for size in shape)
        for shape in shapes.values()
    )


def _read_file(path: Path) -> _FileFacts:
    """The facts in a model file. An unreadable file is no error here: its checks will fail."""
    try:
        content = read_model_file(path, arrays=False)
    except (OSError, ValueError):
        return _FileFacts(_size(path) / 4)
    shapes = {name: x.shape for name, x in file_inputs(content.config).items()}
    return _FileFacts((content.weight_bytes or _size(path)) / 4, shapes)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # deleted since kito.yaml was validated: the model's checks will fail
        return 0
