"""PyTorch modules, as the users pass them, in the form that all else takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kito.errors import KitoError
from kito.graph.torch_model import TorchModel, argument_names, is_torch_module
from kito.runtime.inputs import as_array, made_by, read_arrays


def wrapped_modules(original: Any, reduced: Any, inputs: Any) -> tuple[Any, Any, Any]:
    """Two PyTorch modules as models, and their inputs by name; Keras models as they are.

    Args:
        original: a module or a Keras model.
        reduced: one that takes the same inputs, in the same order.
        inputs: as :func:`kito.runtime.inputs.resolve_inputs` takes them, or tensors of PyTorch. For
            modules, None is for images, signals or volumes that the first layer takes.

    Raises:
        KitoError: only one of them is a PyTorch module, or the inputs do not fit.
    """
    modules = [is_torch_module(x) for x in (original, reduced)]
    if not any(modules):
        return original, reduced, inputs
    if not all(modules):
        other = type(reduced if modules[0] else original).__name__
        raise KitoError(f"a PyTorch module is compared with modules only; got one and a {other}")
    arrays = None if inputs is None else named_arrays(original, inputs)
    first = wrap_module(original, arrays)
    return first, wrap_module(reduced, first.examples), arrays


def wrap_module(
    module: Any,
    arrays: Mapping[str, np.ndarray] | None = None,
    name: str | None = None,
) -> TorchModel:
    """A PyTorch module as a model.

    Args:
        module: any ``torch.nn.Module``.
        arrays: a batch by the names of its arguments; None for random images, signals or volumes.
        name: for messages; None for the name of its class.

    Raises:
        KitoError: the inputs do not fit, or cannot be guessed.
    """
    name = name or type(module).__name__
    if arrays is None:
        from kito.graph.torch.given import check_module, copy_module
        from kito.graph.torch.inputs import find_inputs

        check_module(module)
        (guessed,) = find_inputs(copy_module(module))
        arrays = named_arrays(module, guessed.float())
    return TorchModel(module, {key: x[:2] for key, x in arrays.items()}, name)


def named_arrays(module: Any, inputs: Any) -> dict[str, np.ndarray]:
    """Inputs by the names of the arguments of ``forward``.

    Args:
        module: what takes them.
        inputs: a tensor or an array; a sequence of them, one for each argument; a dict of them by
            name; the path of an ``.npz`` file; or a function that returns any of these.

    Raises:
        KitoError: the function raises, there is no such file, or more arguments are given than
            ``forward`` takes.
    """
    if callable(inputs) and not hasattr(inputs, "shape"):
        inputs = made_by(inputs)
    if isinstance(inputs, str | Path):
        inputs = read_arrays(Path(inputs))
    if not isinstance(inputs, Mapping):
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        names = argument_names(module, len(given))
        inputs = dict(zip(names, given, strict=True))
    return {name: _array(name, x) for name, x in in_order(module, inputs).items()}


def in_order(module: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by name in the order of the arguments of ``forward``.

    Raises:
        KitoError: it has no such arguments, or one before them is missing.
    """
    names = argument_names(module, len(inputs))
    if set(names) != set(inputs):
        raise KitoError(
            f"{type(module).__name__} was given the inputs {list(inputs)}, the first arguments of "
            f"its forward are {names}: give them all, by these names"
        )
    return {name: inputs[name] for name in names}


def shaped_arrays(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Examples of inputs of which only the sizes without the batch are known: floats."""
    return {name: np.zeros((2, *sizes), np.float32) for name, sizes in shapes.items()}


def _array(name: Any, value: Any) -> np.ndarray:
    array = as_array(value)
    if array.ndim == 0 or array.dtype.kind not in "biuf" or not len(array):
        raise KitoError(
            f"input '{name}' is {array.dtype} of shape {array.shape}: give numbers, samples first"
        )
    return array
