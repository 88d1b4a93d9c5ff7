"""The checks ``metric[NAME]`` and ``metric[NAME-FORMAT]``: the task's own metric, and its bounds.

The first is the reduced model's, the others those of its files, each run by its engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError
from kito.export.formats.names import FORMAT_NAMES, available_format
from pytest_kito.checks.evaluate import evaluate
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.outcome import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from kito.runtime.predict import Predictor
    from pytest_kito.config.metrics import MetricSpec

_ROUNDING = 1e-12
"""The part of a value by which the subtraction in a drop may be off: 0.98 - 0.979 is not 0.001."""


def check_metric(
    run: ModelRun, name: str, artifact_format: str | None, folder: Path
) -> dict[str, Any]:
    """Check that a metric of the reduced model, or of one of its files, is within its bounds.

    Args:
        run: the model.
        name: the metric's name.
        artifact_format: the format of the file to run; None for the reduced model itself.
        folder: where the files of this session are.

    Returns:
        An entry of the section ``metrics`` of the JSON report.

    Raises:
        CheckSkipped: the file was not written, because its own check did not pass or was not made.
        CheckFailed: the metric is out of bounds, or cannot be evaluated.
    """
    spec = run.spec.metrics[name]
    data = _figures(spec, name, artifact_format)
    path = None if artifact_format is None else _file(run, artifact_format, folder)
    if path is not None and not path.is_file():
        reason = (
            f"artifact[{artifact_format}] did not pass in this session, so there is no file to run"
        )
        raise CheckSkipped(reason, {**data, "skipped": reason})
    try:
        reading = run.metric(name)
        data |= {"original": reading.value, "warnings": list(reading.warnings)}
        with _predictor(run, artifact_format, path) as (predictor, what):
            value = data["value"] = evaluate(spec, run.base, predictor, what)
    except KitoError as error:
        raise CheckFailed(str(error), {**data, "passed": False}) from error
    problems = out_of_bounds(spec, value, reading.value)
    if spec.minimum is not None or spec.maximum is not None or spec.max_drop is not None:
        data["passed"] = not problems
    if problems:
        raise CheckFailed(_message(spec, data, what, problems), data)
    return data


def out_of_bounds(spec: MetricSpec, value: float, original: float) -> list[str]:
    """The bounds that a value does not meet, in words; empty where it meets them all.

    Args:
        spec: the metric.
        value: of the reduced model, or of a file.
        original: of the original.
    """
    problems = []
    if spec.minimum is not None and value < spec.minimum:
        problems.append(f"min: {spec.minimum:g}")
    if spec.maximum is not None and value > spec.maximum:
        problems.append(f"max: {spec.maximum:g}")
    drop = original - value if spec.higher_is_better else value - original
    slack = _ROUNDING * max(abs(original), abs(value))
    if spec.max_drop is not None and drop > spec.max_drop + slack:
        problems.append(f"max_drop: {spec.max_drop:g}, it is {drop:.4g} worse than the original")
    return problems


def _figures(spec: MetricSpec, name: str, artifact_format: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "engine": artifact_format or "keras",
        "format": artifact_format,
        "original": None,
        "value": None,
        "min": spec.minimum,
        "max": spec.maximum,
        "max_drop": spec.max_drop,
        "higher_is_better": spec.higher_is_better,
        "passed": None,
        "skipped": None,
        "warnings": [],
    }


def _file(run: ModelRun, artifact_format: str, folder: Path) -> Path:
    """Where the check of the artifact leaves its file; a file of this name has passed."""
    return folder / f"{run.spec.name}{FORMAT_NAMES[artifact_format].suffix}"


@contextmanager
def _predictor(
    run: ModelRun, artifact_format: str | None, path: Path | None
) -> Iterator[tuple[Predictor, str]]:
    """What runs the reduced model or the file, and its name in messages."""
    from kito.export.opened import opened
    from kito.runtime.predict import Predictor

    original = run.original()
    if artifact_format is None or path is None:
        yield Predictor(run.reduced(), original), "the reduced model"
        return
    info = available_format(artifact_format, run.spec.framework)
    with opened(path, info, original, run.custom_objects()) as loaded:
        yield Predictor(loaded.model, original), f"'{path.name}', run by {info.engine}"


def _message(spec: MetricSpec, data: dict[str, Any], what: str, problems: list[str]) -> str:
    text = (
        f"{data['value']:.6g} on {what}, {data['original']:.6g} on the original; "
        f"declared: {'; '.join(problems)}"
    )
    if out_of_bounds(spec, data["original"], data["original"]):
        text += "\nthe original is out of bounds, too: change the bounds in kito.yaml, or the model"
    return text
