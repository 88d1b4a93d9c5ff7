"""How long the checks of a declared model take, roughly, so that shards can be balanced.

From the seconds of an earlier JSON report where there is one. Otherwise from what can be known
without building a model or importing Keras: how long its timings may take, and

    seconds = SETUP + FORMAT * formats + WORK * parameters * numbers in a sample * samples

with the parameters and the input shapes that a model file tells of itself. A callable tells
nothing: it counts as a network of :data:`PARAMETERS` on images of :data:`SIDE` x :data:`SIDE` x 3,
but for what ``inputs.shape``, ``kwargs: {input_shape: ...}`` and a weights file say. The figures
are rough ones of two CPU cores; only their proportions matter.
"""

from __future__ import annotations

import json
import math
import statistics
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kito.config.load import ModelSpec
from pytest_kito.reports.merge import read_report

SETUP = 5.0
FORMAT = 3.0
WORK = 5e-13
PARAMETERS = 10e6
SIDE = 224
UNJUDGED = 0.25
"""The part of its budget that a timing without a minimum takes at most."""


@dataclass(frozen=True)
class _Known:
    """What a file tells of its model; None where it does not.

    Attributes:
        parameters: how many, roughly: what else lies in the file counts too.
        inputs: shapes without the batch axis, by input name; None is an open size.
    """

    parameters: float | None = None
    inputs: Mapping[str, Sequence[int | None]] | None = None


def costs(specs: Sequence[ModelSpec], base: Path, timings: Path | None = None) -> dict[str, float]:
    """Seconds, roughly, by name of the model.

    Args:
        specs: the models.
        base: the directory that their files are relative to.
        timings: an earlier JSON report. A model that is not in it costs the median of those that
            are; where none is, all are estimated.

    Raises:
        KitoError: ``timings`` is no such report.
    """
    seconds = {} if timings is None else _seconds(timings)
    known = {spec.name: seconds[spec.name] for spec in specs if spec.name in seconds}
    if known:
        typical = statistics.median(known.values())
        return {spec.name: known.get(spec.name, typical) for spec in specs}
    files: dict[Path, _Known] = {}
    return {spec.name: estimate(spec, base, files) for spec in specs}


def estimate(spec: ModelSpec, base: Path, files: dict[Path, _Known] | None = None) -> float:
    """Seconds, roughly, that the checks of a model take, from its declaration and its file.

    Args:
        spec: the model.
        base: the directory that its files are relative to.
        files: what was read so far, so that each file is read once.
    """
    files = {} if files is None else files
    known = _Known()
    path = base / spec.source
    if spec.source.endswith((".keras", ".h5")):
        if path not in files:
            files[path] = _read_file(path)
        known = files[path]
    parameters = known.parameters
    if spec.weights not in ("as-built", "random"):
        parameters = _size(base / spec.weights) / 4
    work = (parameters or PARAMETERS) * _numbers(spec, known) * spec.inputs.samples
    timings = 0.0
    if spec.speedup is not None:
        judged = spec.speedup.minimum is not None or spec.speedup.devices
        budget = spec.speedup.budget_s * (1.0 if judged else UNJUDGED)
        timings = budget * len(spec.speedup.batch_size)
    return SETUP + FORMAT * len(spec.artifacts) + WORK * work + timings


def _seconds(report: Path) -> dict[str, float]:
    found = {}
    for model in read_report(report)["models"]:
        spent = sum((model.get("seconds") or {}).values())
        if spent > 0:
            found[model["name"]] = float(spent)
    return found


def _numbers(spec: ModelSpec, known: _Known) -> float:
    """How many numbers one sample has."""
    shapes = {**(known.inputs or {}), **spec.inputs.shape}
    given = spec.kwargs.get("input_shape")
    if not shapes and isinstance(given, list) and all(isinstance(x, int | None) for x in given):
        shapes = {"": given}
    if not shapes:
        return SIDE * SIDE * 3
    return sum(math.prod(SIDE if size is None else size for size in x) for x in shapes.values())


def _read_file(path: Path) -> _Known:
    """What a model file tells; a file that cannot be read fails its checks, not the planning."""
    parameters = _size(path) / 4
    try:
        if path.suffix == ".h5":
            return _Known(parameters, _h5_inputs(path))
        with zipfile.ZipFile(path) as archive:
            parameters = sum(x.file_size for x in archive.infolist() if _is_weights(x)) / 4
            return _Known(parameters, _inputs(json.loads(archive.read("config.json"))))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile):
        return _Known(parameters)


def _is_weights(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(".weights.h5")


def _h5_inputs(path: Path) -> dict[str, list[int | None]]:
    import h5py  # it comes with Keras, and imports none

    with h5py.File(path) as file:
        return _inputs(json.loads(file.attrs["model_config"]))


def _inputs(config: Any) -> dict[str, list[int | None]]:
    """Input shapes without the batch axis, by name, from a model's config as Keras writes it."""
    match config:
        case {"config": {"layers": [*layers]}}:
            pass
        case _:
            layers = []
    found: dict[str, list[int | None]] = {}
    for layer in layers:
        match layer:
            case {"class_name": "InputLayer", "config": {"batch_shape": [_, *shape], **inner}}:
                found[str(inner.get("name", len(found)))] = shape
            case {"class_name": "InputLayer", "config": {"batch_input_shape": [_, *shape], **rest}}:
                found[str(rest.get("name", len(found)))] = shape
    match config:
        case {"build_config": {"input_shape": [_, *shape]}} if not found:
            found = {"": shape}
    sound = all(type(size) is int or size is None for shape in found.values() for size in shape)
    return found if sound else {}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone since kito.yaml was checked: the model's checks say so
        return 0
