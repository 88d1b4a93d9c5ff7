"""A subclassed model as a functional one: what it takes is found out, and its call is the only one.

Everything that feeds, compares or times a model needs its symbolic inputs, which a subclassed model
has not.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
from keras import tree
from keras.src.models.functional import Functional

from kito.errors import KitoError, UnsupportedModelError, describe
from kito.graph.keras_internals import all_layers, build_shapes
from kito.graph.preserve import unrecorded
from kito.graph.read import is_readable


def functional_call(model: Any, inputs: Any) -> Any:
    """A functional model whose only call is one of ``model``, with the ``keras.Input``s ``inputs``.

    ``model`` is left as it was, but for being built if it was not.
    """
    with unrecorded([model, *all_layers(model)]):
        return Functional(inputs, model(inputs), name=model.name)


def as_functional(model: Any, example_inputs: Any = None) -> Any:
    """``model`` itself where it is functional or Sequential; else a functional model around it.

    Args:
        model: any Keras model. A subclassed one that was never called is called, and so built,
            with ``example_inputs``.
        example_inputs: a batch: an array, or a list or a dict of them, as the model takes it.

    Raises:
        UnsupportedModelError: the model is subclassed, and was never built; takes several
            arguments; or cannot be called with symbolic tensors.
    """
    if is_readable(model) or isinstance(model, keras.Sequential):
        return model
    what = f"model '{model.name}' is a subclassed model ({type(model).__name__})"
    argument, *others = [
        x.name for x in inspect.signature(model.call).parameters.values() if x.default is x.empty
    ] or ["inputs"]
    if others:
        raise UnsupportedModelError(
            f"{what} whose call() takes several tensors ({argument}, {', '.join(others)}): let it "
            "take one list or dict of them"
        )
    if example_inputs is not None:
        if not model.built:
            _build(model, example_inputs, what)
        leaves = _with_names(argument, example_inputs)
        inputs = [keras.Input(_sizes(x), dtype=_dtype(x), name=name) for name, x in leaves]
        packed = tree.pack_sequence_as(example_inputs, inputs)
    else:
        packed = _from_shapes(model, argument, what)
    try:
        return functional_call(model, packed)
    except KitoError as error:
        raise UnsupportedModelError(f"{what}: {error}") from error
    except Exception as error:
        raise UnsupportedModelError(
            f"{what}, and cannot be called with symbolic tensors: {describe(error)}"
        ) from error


def _build(model: Any, example_inputs: Any, what: str) -> None:
    try:
        model(tree.map_structure(keras.ops.convert_to_tensor, example_inputs), training=False)
    except Exception as error:
        raise UnsupportedModelError(
            f"{what}, and fails on the example inputs: {describe(error)}"
        ) from error


def _from_shapes(model: Any, argument: str, what: str) -> Any:
    """Inputs of the shapes that the model was built with."""
    shapes = build_shapes(model)
    if not model.built or shapes is None:
        raise UnsupportedModelError(
            f"{what} that was never built, so its layers have no shapes yet: call it once, or give "
            "example_inputs, a batch of what it takes"
        )
    shape = next(iter(shapes.values()))
    packed = _plain(tree.map_shape_structure(_Shape, shape))
    leaves = _with_names(argument, packed)
    dtype = "int32" if _takes_numbers_of_rows(model) else None
    inputs = [keras.Input(x.shape[1:], dtype=dtype, name=name) for name, x in leaves]
    return tree.pack_sequence_as(packed, inputs)


def _plain(structure: Any) -> Any:
    """The same of lists, tuples and dicts only, without what keeps track of what they hold."""
    if isinstance(structure, dict):
        return {key: _plain(x) for key, x in structure.items()}
    if isinstance(structure, list | tuple):
        return (list if isinstance(structure, list) else tuple)(map(_plain, structure))
    return structure


class _Shape:
    """A shape that is no structure."""

    def __init__(self, shape: Any) -> None:
        self.shape = tuple(shape)


def _takes_numbers_of_rows(model: Any) -> bool:
    """Whether the first layer is an Embedding; what dtype a model was called with is not kept."""
    first = next(iter(all_layers(model)), None)
    return isinstance(first, keras.layers.Embedding)


def _with_names(argument: str, structure: Any) -> list[tuple[str, Any]]:
    """(name, leaf): the key of a dict, or the argument with a number."""
    leaves = tree.flatten_with_path(structure)
    if len(leaves) == 1 and not leaves[0][0]:
        return [(argument, leaves[0][1])]
    named = [(".".join(str(key) for key in path), x) for path, x in leaves]
    return [(f"{argument}_{name}" if name.isdigit() else name, x) for name, x in named]


def _sizes(array: Any) -> tuple[int | None, ...]:
    return tuple(array.shape if hasattr(array, "shape") else np.shape(array))[1:]


def _dtype(array: Any) -> str:
    dtype = str(keras.backend.standardize_dtype(getattr(array, "dtype", "float32")))
    return str(keras.config.floatx()) if dtype == "float64" else dtype
