"""Whose fault it is that the ``.keras`` file of a reduced model fails: the original's own is tried.

Only a ``.keras`` file creates the layers again from their configurations; the other formats hold
the function that the model computes.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

from kito.equivalence.compare import compare_with
from kito.equivalence.criteria import Criteria
from kito.export.failure import one_line, workaround
from kito.export.formats.names import FORMAT_NAMES, FormatInfo
from kito.graph.read import is_readable
from kito.runtime.batch import Inputs

_REGISTER = (
    "Register custom classes with keras.saving.register_keras_serializable, or name them as "
    "custom_objects"
)


def advice(info: FormatInfo, original: Any, custom_objects: Mapping[str, Any] | None) -> str:
    """What to do where the reduced model cannot be written, or its file cannot be loaded.

    For ``keras``, the original is saved and loaded, to say whether it is the original's fault.
    """
    if info.name != "keras":
        return workaround(info)
    with tempfile.TemporaryDirectory(prefix="kito-") as folder:
        try:
            _reloaded(original, Path(folder), custom_objects)
        except Exception as error:  # whatever a layer or Keras raises
            return _fault(original, custom_objects, one_line(error, Path(folder)))
    return (
        "The original can be saved and loaded; the reduced model may hold layers that were inside "
        f"others. {_REGISTER}"
    )


def own_difference(
    original: Any,
    inputs: Inputs,
    criteria: Criteria,
    custom_objects: Mapping[str, Any] | None,
) -> str:
    """How the original differs from itself once it is saved as ``.keras`` and loaded again.

    Returns:
        A sentence that says so; empty where it does not differ, or that cannot be known.
    """
    with tempfile.TemporaryDirectory(prefix="kito-") as folder:
        try:
            loaded = _reloaded(original, Path(folder), custom_objects)
            comparison = compare_with(original, loaded, inputs, criteria)
        except Exception:  # of a layer or Keras; the difference that was found is the answer
            return ""
    if comparison.passed:
        return ""
    layer = comparison.first_departure
    where = "" if layer is None else f", first in layer '{layer}'"
    return (
        "That is the original's fault: saved and loaded, it differs from itself as well"
        f"{where}. get_config() must return every argument of __init__, and every value that the "
        f"outputs depend on must be an argument or a weight. {_other_formats()}"
    )


def _reloaded(original: Any, folder: Path, custom_objects: Mapping[str, Any] | None) -> Any:
    """The original, saved as ``.keras`` and loaded again; raises whatever Keras raises."""
    path = folder / "original.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reduced model's file gave the same warnings
        original.save(path)
        return keras.models.load_model(path, custom_objects=custom_objects, compile=False)


def _fault(original: Any, custom_objects: Mapping[str, Any] | None, error: str) -> str:
    layers = original.layers if is_readable(original) else [original]
    found = _first_problem(layers, custom_objects)
    if found is None:
        because = (
            f": {error}. Each of its layers can be created again from its own configuration. "
            f"{_REGISTER}"
        )
    else:
        layer, problem = found
        mend = (
            "Write it as a layer class that is registered"
            if isinstance(layer, keras.layers.Lambda)
            else f"{_REGISTER}, and let get_config() return every argument of __init__"
        )
        what = "" if problem == error else f": {problem}"  # the message has the error already
        because = f", because of layer '{layer.name}' ({type(layer).__name__}){what}. {mend}"
    return (
        "That is the original's fault: its own .keras file cannot be written and loaded either"
        f"{because}. {_other_formats()}"
    )


def _first_problem(
    layers: Iterable[Any], custom_objects: Mapping[str, Any] | None
) -> tuple[Any, str] | None:
    """The first layer, the innermost one, that cannot be created again, and why in one line."""
    for layer in layers:
        problem = _problem(layer, custom_objects)
        if problem is not None:
            return _first_problem(_configured_inside(layer), custom_objects) or (layer, problem)
    return None


def _configured_inside(layer: Any) -> list[Any]:
    """The layers whose configurations are parts of the layer's own."""
    if is_readable(layer):
        return list(layer.layers)
    return [layer.layer] if isinstance(layer, keras.layers.Wrapper) else []


def _problem(layer: Any, custom_objects: Mapping[str, Any] | None) -> str | None:
    """Why a layer cannot be created again as a file would do it, in one line; None if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = keras.saving.serialize_keras_object(layer)
            json.dumps(config)
            new = keras.saving.deserialize_keras_object(config, custom_objects=custom_objects)
    except Exception as error:  # whatever get_config(), __init__ or build() may raise
        return one_line(error, Path())
    shapes, others = ([tuple(x.shape) for x in y.weights] for y in (layer, new))
    if new.built and shapes != others and not isinstance(layer, keras.Model):
        return (
            f"it has weights of shapes {shapes}, a layer created from its get_config() and built "
            f"has {others}"
        )
    return None


def _other_formats() -> str:
    names = [x.name for x in FORMAT_NAMES.values() if x.name != "keras" and x.obstacle() is None]
    return (
        "Formats that hold the function instead of the layers need none of this; installed: "
        f"{', '.join(names)}"
    )
