"""A functional model around a subclassed one.

Everything that feeds, compares or times a model needs its symbolic inputs, which a subclassed model
does not have. The functional model has inputs of the same shapes and dtypes, and one call: that of
the subclassed model.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree
from keras.src.models.functional import Functional

from kito.errors import KitoError, UnsupportedModelError, describe
from kito.graph.keras_internals import all_layers, build_shapes
from kito.graph.preserve import unrecorded
from kito.graph.read import is_readable


def functional_call(model: Any, arguments: Mapping[str, Any]) -> Any:
    """``keras.Model(inputs, model(*inputs))``, without a trace of the call in ``model``.

    Args:
        model: any Keras model. It is not changed, except that it is built if it was not.
        arguments: by argument of its ``call``, a ``keras.Input`` or a structure of them. The new
            model takes the only one as it is, and several as a list.

    Raises:
        StateChanged: the call changes the state of ``model``.
        Exception: whatever ``model`` raises when it is called with symbolic tensors.
    """
    inputs = list(arguments.values())
    with unrecorded([model, *all_layers(model)]):
        outputs = _call(model, arguments)
        return Functional(inputs[0] if len(inputs) == 1 else inputs, outputs, name=model.name)


def _call(model: Any, arguments: Mapping[str, Any], **settings: Any) -> Any:
    """Call a model with these tensors by argument, and these settings."""
    parameters = inspect.signature(model.call).parameters
    by_name = {x.name for x in parameters.values() if x.kind is x.KEYWORD_ONLY}
    args = [value for name, value in arguments.items() if name not in by_name]
    kwargs = {name: value for name, value in arguments.items() if name in by_name}
    if "training" in parameters and parameters["training"].default is inspect.Parameter.empty:
        settings["training"] = False
    return model(*args, **kwargs, **settings)


def _tensor_arguments(model: Any) -> list[str]:
    """The arguments of the model's ``call`` that have to be given, which are tensors."""
    parameters = inspect.signature(model.call).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        x.name
        for x in parameters
        if x.default is x.empty and x.kind not in variable and x.name != "training"
    ] or ["inputs"]


def as_functional(model: Any, example_inputs: Any = None) -> Any:
    """A functional model around a subclassed one; a functional or Sequential model as it is.

    The inputs of the new model have the shapes and dtypes of ``example_inputs``. Without those,
    they have the shapes that the subclassed model was built with.

    Args:
        model: any Keras model. A subclassed one that was never built is called once with
            ``example_inputs``.
        example_inputs: a batch: an array, or a list or a dict of them, as the model takes it. For a
            model whose ``call`` takes several arguments, a list or a dict of those.

    Raises:
        UnsupportedModelError: the model is subclassed, and was never built; takes several
            arguments, and no example of them is given; or cannot be called with symbolic tensors.
    """
    if is_readable(model) or isinstance(model, keras.Sequential):
        return model
    what = f"model '{model.name}' is a subclassed model ({type(model).__name__})"
    names = _tensor_arguments(model)
    if example_inputs is not None:
        examples = _by_argument(names, example_inputs, what)
        if not model.built:
            _build(model, examples, what)
        arguments = {name: _inputs_like(name, example) for name, example in examples.items()}
    else:
        arguments = _from_shapes(model, names, what)
    try:
        return functional_call(model, arguments)
    except KitoError as error:
        raise UnsupportedModelError(f"{what}: {error}") from error
    except Exception as error:
        raise UnsupportedModelError(
            f"{what}, and cannot be called with symbolic tensors: {describe(error)}"
        ) from error


def _by_argument(names: list[str], example_inputs: Any, what: str) -> dict[str, Any]:
    """The example of each argument."""
    if len(names) == 1:
        return {names[0]: example_inputs}
    if isinstance(example_inputs, Mapping) and set(example_inputs) == set(names):
        return {name: example_inputs[name] for name in names}
    if isinstance(example_inputs, list | tuple) and len(example_inputs) == len(names):
        return dict(zip(names, example_inputs, strict=True))
    raise UnsupportedModelError(
        f"{what} whose call() takes several tensors ({', '.join(names)}): give example_inputs as a "
        "list of these, or as a dict by these names"
    )


def _inputs_like(argument: str, example: Any) -> Any:
    leaves = _with_names(argument, example)
    inputs = [keras.Input(_sample_shape(x), dtype=_dtype(x), name=name) for name, x in leaves]
    return tree.pack_sequence_as(example, inputs)


def _build(model: Any, examples: Mapping[str, Any], what: str) -> None:
    try:
        tensors = tree.map_structure(keras.ops.convert_to_tensor, dict(examples))
        _call(model, tensors, training=False)
    except Exception as error:
        raise UnsupportedModelError(
            f"{what}, and fails on the example inputs: {describe(error)}"
        ) from error


def _from_shapes(model: Any, names: list[str], what: str) -> dict[str, Any]:
    """By argument, ``keras.Input``s of the shapes that the model was built with."""
    shapes = build_shapes(model)
    if not model.built or shapes is None:
        raise UnsupportedModelError(
            f"{what} that was never built, so its layers have no shapes yet: call it once, or give "
            "example_inputs, a batch of what it takes"
        )
    if len(shapes) < len(names):
        raise UnsupportedModelError(
            f"{what} whose call() takes several tensors ({', '.join(names)}), and Keras knows the "
            "shape of the first only: give example_inputs, a list of these, or let call() take one "
            "list or dict of them"
        )
    dtype = "int32" if _starts_with_embedding(model) else None
    return {
        name: _inputs_of(name, shapes.get(f"{name}_shape", shape), dtype)
        for name, shape in zip(names, shapes.values(), strict=False)
    }


def _inputs_of(argument: str, shape: Any, dtype: str | None) -> Any:
    packed = _plain(tree.map_shape_structure(_Shape, shape))
    leaves = _with_names(argument, packed)
    inputs = [keras.Input(x.shape[1:], dtype=dtype, name=name) for name, x in leaves]
    return tree.pack_sequence_as(packed, inputs)


def _plain(structure: Any) -> Any:
    """The structure as plain lists, tuples and dicts, in place of Keras' tracking subclasses."""
    if isinstance(structure, dict):
        return {key: _plain(x) for key, x in structure.items()}
    if isinstance(structure, list | tuple):
        return (list if isinstance(structure, list) else tuple)(map(_plain, structure))
    return structure


class _Shape:
    """A shape as a leaf: ``tree`` would take a tuple for a structure."""

    def __init__(self, shape: Any) -> None:
        self.shape = tuple(shape)


def _starts_with_embedding(model: Any) -> bool:
    """Whether the first layer takes integers; Keras does not keep the dtypes of past inputs."""
    first = next(iter(all_layers(model)), None)
    return isinstance(first, keras.layers.Embedding)


def _with_names(argument: str, structure: Any) -> list[tuple[str, Any]]:
    """(name, leaf) of each leaf: the name is the key of a dict, or the argument with a number."""
    leaves = tree.flatten_with_path(structure)
    if len(leaves) == 1 and not leaves[0][0]:
        return [(argument, leaves[0][1])]
    named = [(".".join(map(str, path)), x) for path, x in leaves]
    return [(f"{argument}_{name}" if name.isdigit() else name, x) for name, x in named]


def _sample_shape(array: Any) -> tuple[int | None, ...]:
    return tuple(array.shape if hasattr(array, "shape") else np.shape(array))[1:]


def _dtype(array: Any) -> str:
    given = getattr(array, "dtype", "float32")
    if isinstance(given, np.dtype) and given.kind in "OSU":
        return "string"
    dtype = str(keras.backend.standardize_dtype(given))
    return str(keras.config.floatx()) if dtype == "float64" else dtype
