"""The inputs of a model from what the user gives, checked against the model.

Inputs are a dict of arrays by input name, in the model's order; their first axis holds the samples.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError, counted, shown
from kito.graph.functional import as_functional
from kito.runtime.batch import Inputs, input_tensors, optional_inputs
from kito.runtime.bounded import open_zip
from kito.runtime.random_inputs import random_inputs
from kito.runtime.run import to_numpy

_NPY = b"\x93NUMPY"


def resolve_inputs(
    model: Any,
    inputs: Any = None,
    *,
    samples: int = 32,
    seed: int = 0,
    shape: Mapping[str, Sequence[int]] | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> Inputs:
    """Inputs for ``model`` from whatever was given, checked against the model.

    Args:
        model: a built model.
        inputs: None for :func:`kito.runtime.random_inputs.random_inputs`; an array, a sequence of
            arrays in the model's order, a dict by name, or any structure of arrays that the model
            itself is called with; the path of an ``.npz`` file of arrays by name (or of one array,
            for a model of one input); or a function that returns any of these.
        samples: number of random samples.
        seed: seed of the random samples.
        shape: by input name, the sizes of random samples without the batch, where the model leaves
            one open.
        low: least value of random float inputs.
        high: upper bound of random float inputs, which they stay below.

    Raises:
        KitoError: names, shapes, dtypes or numbers of samples do not fit the model, or values are
            not finite.
    """
    if callable(inputs):
        inputs = made_by(inputs)
    if inputs is None:
        return random_inputs(model, samples=samples, seed=seed, shape=shape, low=low, high=high)
    if isinstance(inputs, str | Path):
        inputs = _read_npz(Path(inputs))
    return _check(as_functional(model), inputs)


def made_by(function: Callable[[], Any]) -> Any:
    """What a function that makes inputs returns.

    Raises:
        KitoError: it raises, or returns None.
    """
    try:
        inputs = function()
    except Exception as error:
        raise KitoError(
            f"the function that makes the inputs raised {type(error).__name__}: {error}"
        ) from error
    if inputs is None:
        raise KitoError("the function that makes the inputs returned None; return arrays")
    return inputs


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            if file.read(len(_NPY)) == _NPY:
                raise KitoError(f"{path} is a .npy file; save arrays by name with numpy.savez")
        with open_zip(path) as archive:
            for member in archive.infolist():
                _check_array(archive, member)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise KitoError(f"there is no file {path}") from None
    except KitoError:
        raise
    except Exception as error:  # zipfile and NumPy raise much on broken files
        raise KitoError(
            f"{path} is not an .npz file of plain arrays ({shown(error)}); write it with "
            "numpy.savez"
        ) from error


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse an array that claims another size than it has: NumPy would make room for it first."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{shown(member.filename)} claims the shape {shape}, and is smaller")


def _check(model: Any, inputs: Any) -> Inputs:
    tensors = input_tensors(model)
    names = list(tensors)
    structured = _by_structure(model, names, inputs)
    if structured is not None:
        given = structured
    elif isinstance(inputs, Mapping):
        given = dict(inputs)
        if len(names) == 1 and len(given) == 1:
            given = {names[0]: next(iter(given.values()))}
    elif isinstance(inputs, list | tuple) and len(names) > 1:
        if len(inputs) != len(names):
            raise KitoError(
                f"{counted(len(inputs), 'input')} given, the model takes {len(names)}: {names}"
            )
        given = dict(zip(names, inputs, strict=True))
    else:
        one = inputs[0] if isinstance(inputs, list | tuple) and len(inputs) == 1 else inputs
        if len(names) > 1:
            raise KitoError(f"one input given, the model takes {len(names)}: {names}")
        given = {names[0]: one}
    optional = optional_inputs(model)
    given = {name: x for name, x in given.items() if x is not None}
    missing = [x for x in names if x not in given and x not in optional]
    unknown = [x for x in given if x not in names]
    if missing or unknown:
        raise KitoError(
            f"the inputs are named {list(given)}, the model's are {names}: "
            f"missing {missing}, unknown {unknown}"
        )
    checked = {
        name: _check_one(name, tensor, given[name])
        for name, tensor in tensors.items()
        if name in given
    }
    counts = {name: len(values) for name, values in checked.items()}
    if len(set(counts.values())) > 1:
        raise KitoError(f"the inputs differ in the number of samples: {counts}")
    if 0 in counts.values():
        raise KitoError("the inputs hold no samples")
    return checked


def _by_structure(model: Any, names: list[str], inputs: Any) -> dict[str, Any] | None:
    """Inputs by name from the structure that the model is called with; None if they differ.

    Names of inputs go before the keys of a dict that the model is called with.
    """
    by_name = isinstance(inputs, Mapping) and set(inputs) <= set(names)
    nested = isinstance(inputs, Mapping) and any(isinstance(x, Mapping) for x in inputs.values())
    if isinstance(model, keras.Sequential) or (by_name and not nested):
        return None
    try:
        leaves = [_at(path, model.input, inputs) for path, _ in tree.flatten_with_path(model.input)]
    except LookupError:
        return None
    return dict(zip(names, leaves, strict=True))


def _at(path: Sequence[Any], structure: Any, given: Any) -> Any:
    """What ``given`` has at the path of a leaf of ``structure``.

    A list may stand for a tuple and the reverse. A key of a dict may be missing: None is there,
    which only optional inputs may be.

    Raises:
        LookupError: ``given`` is structured in another way.
    """
    for key in path:
        if given is None:
            return None
        if isinstance(structure, Mapping):
            fits = isinstance(given, Mapping) and set(given) <= set(structure)
        else:
            fits = isinstance(given, list | tuple) and len(given) == len(structure)
        if not fits:
            raise LookupError(key)
        structure = structure[key]
        given = given.get(key) if isinstance(given, Mapping) else given[key]
    if isinstance(given, Mapping):
        raise LookupError(path)
    return given


def _check_one(name: str, tensor: Any, given: Any) -> np.ndarray:
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    try:
        values = as_array(given)
    except ValueError as error:
        raise KitoError(f"input '{name}' is not an array: {error}") from error
    wanted = tuple(tensor.shape)
    if values.ndim == len(wanted) - 1 and wanted[-1] == 1:
        values = values[..., np.newaxis]  # as Keras does
    if values.ndim != len(wanted) or any(
        w is not None and w != g for w, g in zip(wanted[1:], values.shape[1:], strict=False)
    ):
        raise KitoError(
            f"input '{name}' has shape {values.shape}, the model takes {wanted} "
            "(None for any size; first the samples)"
        )
    if wanted[0] is not None and len(values) % wanted[0]:
        raise KitoError(
            f"input '{name}' has {counted(len(values), 'sample')}, the model takes batches of "
            f"{wanted[0]}"
        )
    if dtype == "string":
        if values.dtype.kind not in "OSU":
            raise KitoError(f"input '{name}' is of dtype {values.dtype}, the model takes strings")
        return values
    target = np.dtype("float32" if dtype == "bfloat16" else dtype)
    if values.dtype.kind not in "biuf" or (values.dtype.kind == "f" and target.kind != "f"):
        raise KitoError(f"input '{name}' is of dtype {values.dtype}, the model takes {dtype}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise KitoError(f"input '{name}' holds NaN or infinity")
    with np.errstate(over="ignore"):
        cast = values.astype(target)
    if target.kind == "f" and not np.isfinite(cast).all():
        raise KitoError(f"input '{name}' holds values beyond the range of {dtype}")
    if target.kind in "biu" and not np.array_equal(cast, values):
        raise KitoError(f"input '{name}' holds values that {dtype} cannot hold")
    return cast


def as_array(value: Any) -> np.ndarray:
    """A tensor of Keras' backend or of PyTorch, or whatever NumPy takes, as an array."""
    if hasattr(value, "detach"):  # it may be on a GPU, need gradients, or be of a dtype of its own
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    return to_numpy(value) if keras.ops.is_tensor(value) else np.asarray(value)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name, whatever a model takes.

    Raises:
        KitoError: there is no such file, or it is not an ``.npz`` file of plain arrays.
    """
    return _read_npz(path)
