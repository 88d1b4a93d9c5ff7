"""A subclassed model as a functional one: what it takes is found out, and its call is the only one.

Everything that feeds, compares or times a model needs its symbolic inputs, which a subclassed model
has not.
"""

from __future__ import annotations

from typing import Any

import keras

from kito.errors import KitoError
from kito.graph.functional import as_functional
from kito.runtime.batch import Inputs, input_tensors
from kito.runtime.engine import LoadedFile


def as_functional_pair(original: Any, reduced: Any) -> tuple[Any, Any]:
    """:func:`as_functional` of two models that take the same inputs.

    Where only the second is functional, it tells what the first takes. A file that an engine loaded
    stays as it is.
    """
    if isinstance(reduced, LoadedFile):
        return as_functional(original), reduced
    twin = as_functional(reduced)
    told = None
    if twin is reduced and original.built:
        # A Sequential that was not called yet has no ``input``.
        told = twin.inputs[0] if isinstance(twin, keras.Sequential) else twin.input
    return as_functional(original, told), twin


def renamed_inputs(inputs: Inputs, model: Any, other: Any) -> Inputs:
    """Inputs of ``model`` under the names of ``other``, whose inputs match by name or by order.

    Raises:
        KitoError: the two models differ in the number of inputs.
    """
    if isinstance(other, LoadedFile):  # it goes by the names of ``model``
        return inputs
    names, others = list(input_tensors(model)), list(input_tensors(other))
    if len(names) != len(others):
        raise KitoError(f"'{model.name}' takes the inputs {names}, '{other.name}' takes {others}")
    if set(names) == set(others):
        return inputs
    pairs = zip(names, others, strict=True)
    return {twin: inputs[name] for name, twin in pairs if name in inputs}
