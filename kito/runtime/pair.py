"""Two models that take the same inputs: both made functional, and inputs renamed for the second."""

from __future__ import annotations

from typing import Any

import keras

from kito.errors import KitoError
from kito.graph.functional import as_functional
from kito.runtime.batch import Inputs, input_tensors
from kito.runtime.engine import LoadedFile


def as_functional_pair(original: Any, reduced: Any) -> tuple[Any, Any]:
    """Both models in functional form, which has the symbolic inputs that a subclassed model lacks.

    Where only the reduced model is functional, the original gets the inputs of the reduced one. A
    file that an engine loaded is returned unchanged.

    Args:
        original: a Keras model.
        reduced: a Keras model that takes the same inputs, or a loaded file.

    Raises:
        UnsupportedModelError: a model cannot be made functional.
    """
    if isinstance(reduced, LoadedFile):
        return as_functional(original), reduced
    functional = as_functional(reduced)
    example = None
    if functional is reduced and original.built:
        # A Sequential that was not called yet has no ``input``.
        sequential = isinstance(functional, keras.Sequential)
        example = functional.inputs[0] if sequential else functional.input
    return as_functional(original, example), functional


def renamed_inputs(inputs: Inputs, model: Any, other: Any) -> Inputs:
    """Inputs of ``model`` under the names of ``other``, whose inputs match by name or by order.

    Raises:
        KitoError: the two models differ in the number of inputs.
    """
    if isinstance(other, LoadedFile):  # it takes inputs by the names of ``model``
        return inputs
    names, others = list(input_tensors(model)), list(input_tensors(other))
    if len(names) != len(others):
        raise KitoError(f"'{model.name}' takes the inputs {names}, '{other.name}' takes {others}")
    if set(names) == set(others):
        return inputs
    pairs = zip(names, others, strict=True)
    return {new: inputs[name] for name, new in pairs if name in inputs}
