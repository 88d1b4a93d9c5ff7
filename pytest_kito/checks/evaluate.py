"""The value of a declared metric on one model, or on one file that an engine has loaded.

A metric is a callable ``metric(predict, data) -> float``, or a class of ``keras.metrics``, which
gets the labels and the outputs. Each evaluation gets data of its own: a file is read again, a
callable is called again. So a metric may change its data, and the data may be a generator.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError, counted, summarize
from kito.runtime.import_path import import_object, importable

if TYPE_CHECKING:
    from kito.runtime.predict import Predictor
    from pytest_kito.config.metrics import MetricSpec


@dataclass(frozen=True)
class Reading:
    """The value of a metric on the original.

    Attributes:
        value: the first of two evaluations.
        warnings: what a reader must know before trusting the value.
    """

    value: float
    warnings: tuple[str, ...] = ()


def read_original(spec: MetricSpec, base: Path, original: Any) -> Reading:
    """Evaluate a metric twice on the original, since a value that changes could judge nothing.

    Raises:
        KitoError: the metric cannot be evaluated, or its two values differ although the model
            returned the same outputs.
    """
    from kito.runtime.predict import Predictor

    runs = [Predictor(original, original) for _ in range(2)]
    first, second = (evaluate(spec, base, run, "the original") for run in runs)
    if first == second:
        return Reading(first)
    differ = f"{first!r}, then {second!r} on the original"
    if runs[0].fed == runs[1].fed and runs[0].returned != runs[1].returned:
        warning = (
            f"the original's own outputs vary on this device, and the metric with them: {differ}"
        )
        return Reading(first, (warning,))
    raise KitoError(
        f"metric {spec.source!r} depends on more than the model: {differ}; keep no state between "
        "its calls, and fix the seeds of what is random in it and in its data"
    )


def evaluate(spec: MetricSpec, base: Path, predictor: Predictor, what: str) -> float:
    """Evaluate a metric.

    Args:
        spec: the metric.
        base: the directory of kito.yaml.
        predictor: runs what is judged; it was not called before.
        what: what is judged, for messages.

    Raises:
        KitoError: the metric or its data cannot be imported or raises, the metric returns no finite
            number, or it never called ``predict``.
    """
    import keras

    # A metric may import from its own repository only when it is called.
    with importable(base):
        metric = import_object(spec.source, base=base)
        data = _data(spec, base)
        if isinstance(metric, type) and issubclass(metric, keras.metrics.Metric):
            value = _keras_metric(metric, spec, data, predictor)
        else:
            _check_callable(metric, spec)
            called = f"metric {spec.source!r}"
            value = _guarded(called, metric, (predictor, data), spec.kwargs, where=f" on {what}")
    if not predictor.calls:
        raise KitoError(
            f"metric {spec.source!r} never called predict, so its value says nothing about the "
            "model; call predict(batch) with the inputs in its data"
        )
    return _number(value, f"metric {spec.source!r} returned", what)


def _data(spec: MetricSpec, base: Path) -> Any:
    """The arrays of the declared file by name, or what the declared callable returns; else None."""
    from kito.runtime.inputs import read_arrays

    if spec.data is None:
        return None
    if spec.data.endswith(".npz"):
        return read_arrays(base / spec.data)
    source = import_object(spec.data, base=base)
    if not callable(source):
        raise KitoError(
            f"data {spec.data!r} is an object of type {type(source).__name__}; name a callable"
        )
    data = _guarded(f"data {spec.data!r}", source)
    if data is None:
        raise KitoError(f"data {spec.data!r} returned None; return what the metric takes")
    return data


def _check_callable(metric: Any, spec: MetricSpec) -> None:
    """Refuse what cannot be called here, so that a TypeError of the call comes from inside it."""
    import keras

    if isinstance(metric, keras.metrics.Metric):
        raise KitoError(f"metric {spec.source!r} is an object that keeps state; name its class")
    if not callable(metric):
        raise KitoError(
            f"metric {spec.source!r} is an object of type {type(metric).__name__}; name a callable"
        )
    try:
        inspect.signature(metric).bind(None, None, **spec.kwargs)
    except TypeError as error:
        arguments = ", ".join(["predict", "data", *(f"{name}=.." for name in spec.kwargs)])
        raise KitoError(
            f"metric {spec.source!r} cannot be called as metric({arguments}): {error}"
        ) from error
    except ValueError:
        return  # a builtin without a signature: the call itself will raise


def _keras_metric(kind: Any, spec: MetricSpec, data: Any, predictor: Predictor) -> Any:
    """The result of a ``keras.metrics`` class on the labels in ``data`` and the model's output."""
    import numpy as np

    called = f"metric {spec.source!r}"
    metric = _guarded(f"{called}, created with its kwargs,", kind, (), spec.kwargs)
    inputs, labels = _labelled(spec, data, predictor.takes)
    outputs = _guarded(called, predictor, (inputs,))
    if not isinstance(outputs, np.ndarray):
        raise KitoError(
            f"{called} takes one output, the model returns a {type(outputs).__name__} of "
            f"{counted(len(outputs), 'output')}; write a function metric(predict, data) that picks "
            "one"
        )
    if len(labels) != len(outputs):
        raise KitoError(
            f"data {spec.data!r} holds {counted(len(outputs), 'sample')} and "
            f"{counted(len(labels), 'label')}; it needs as many"
        )
    _guarded(called, metric.update_state, (labels, outputs))
    return _guarded(called, metric.result)


def _labelled(spec: MetricSpec, data: Any, takes: Mapping[str, bool]) -> tuple[Any, Any]:
    """The inputs and the labels in the data of a Keras metric.

    Args:
        spec: the metric.
        data: arrays by name, of which one is no input; or a pair of inputs and labels.
        takes: for each input's name, whether a call needs it.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return data
    rule = f"metric {spec.source!r} takes the inputs {list(takes)} and one more array, the labels"
    if not isinstance(data, Mapping):
        given = "no data" if data is None else f"an object of type {type(data).__name__}"
        raise KitoError(
            f"{rule}; there is {given}: give an .npz file, or a callable that returns a dict"
        )
    missing = [name for name, needed in takes.items() if needed and name not in data]
    labels = [name for name in data if name not in takes]
    if missing or len(labels) != 1:
        raise KitoError(f"{rule}; data {spec.data!r} holds {list(data)}")
    return {name: data[name] for name in takes if name in data}, data[labels[0]]


def _guarded(
    called: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    where: str = "",
) -> Any:
    """Call a function of the user; a KitoError says what it raised, and in which of its lines."""
    try:
        return function(*arguments, **(kwargs or {}))
    except KitoError as error:  # of predict
        raise KitoError(f"{called}{where}: {error}") from error
    except (Exception, SystemExit) as error:
        text = "".join(x if x.isprintable() else "?" for x in summarize(error))
        raise KitoError(f"{called} raised{where} {text}{_line(error, function)}") from error


def _line(error: BaseException, function: Callable[..., Any]) -> str:
    """The last line of the function's own file that the exception passed; empty if unknown."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    return f" ({Path(code.co_filename).name}, line {lines[-1]})" if lines else ""


def _number(value: Any, returned: str, what: str) -> float:
    """A number, or an array or a tensor that holds one; anything else is refused."""
    import keras
    import numpy as np

    from kito.runtime.run import to_numpy

    array = to_numpy(value) if keras.ops.is_tensor(value) else np.asarray(value)
    if array.shape != () or array.dtype.kind not in "iuf":
        given = "None" if value is None else f"an object of type {type(value).__name__}"
        given = f"an array of shape {array.shape}" if array.shape != () else given
        raise KitoError(f"{returned} {given} on {what}; return one number, float(...)")
    if not np.isfinite(array):
        raise KitoError(f"{returned} {float(array)} on {what}; return a finite number")
    return float(array)
