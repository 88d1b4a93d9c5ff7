"""What a model is fed: seeded random samples by its own input specs, or data that somebody gives.

Inputs are a dict of arrays by input name, in the model's order; their first axis holds the samples.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError, UnsupportedModelError
from kito.graph import input_names, read_graph
from kito.loaded import LoadedFile
from kito.views import functional_view

Inputs = dict[str, np.ndarray]


def random_inputs(
    model: Any,
    *,
    samples: int = 32,
    seed: int = 0,
    shape: Mapping[str, Sequence[int]] | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> Inputs:
    """Random samples for each input of ``model``, the same for the same seed.

    Float inputs are uniform in [low, high); integer inputs are uniform over what the Embedding that
    takes them knows, otherwise 0 or 1 (uint8, which is an image's: 0 to 255); boolean inputs are
    tossed. Optional inputs are given too.

    Args:
        model: a built model.
        samples: how many; a model of a fixed batch size gets a whole number of batches, at least
            this many.
        seed: of the random numbers; each input has a stream of its own.
        shape: by input name, the sizes without the batch, where the model leaves one open.
        low: least value of float inputs.
        high: float inputs stay below it.

    Raises:
        KitoError: an open size is not given, a given one does not fit, an input holds strings, or
            an argument is out of its range.
    """
    if samples < 1 or seed < 0 or not -np.inf < low < high < np.inf:
        raise KitoError(
            f"random inputs take samples >= 1, seed >= 0 and low < high, both finite; got samples "
            f"{samples}, seed {seed}, low {low}, high {high}"
        )
    model = functional_view(model)
    shapes = dict(shape or {})
    tensors = _tensors(model)
    unknown = [name for name in shapes if name not in tensors]
    if unknown:
        raise KitoError(f"inputs.shape names {unknown}; the model's inputs are {list(tensors)}")
    bounds = _integer_bounds(model)
    inputs: Inputs = {}
    for index, (name, tensor) in enumerate(tensors.items()):
        sizes = _sizes(name, tensor.shape[1:], shapes.get(name))
        count = _whole_batches(samples, tensor.shape[0])
        rng = np.random.default_rng([seed, index])
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        full = (count, *sizes)
        if dtype == "string":
            raise KitoError(f"input '{name}' holds strings: give data for it (inputs.data)")
        if dtype == "bool":
            inputs[name] = rng.integers(0, 2, full).astype(bool)
        elif "int" in dtype:
            most = 256 if dtype == "uint8" else 2
            inputs[name] = rng.integers(0, bounds.get(name, most), full).astype(dtype)
        else:
            values = rng.uniform(low, high, full)
            inputs[name] = values.astype("float32" if dtype == "bfloat16" else dtype)
    return inputs


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
        inputs: None for :func:`random_inputs` (the other arguments are for that); an array, or a
            sequence of arrays in the model's order, or a dict by name; the path of an ``.npz`` with
            such names (or one array for a model of one input); or a function that returns any of
            these.
        samples: of random inputs, as the following.
        seed: see :func:`random_inputs`.
        shape: see :func:`random_inputs`.
        low: see :func:`random_inputs`.
        high: see :func:`random_inputs`.

    Raises:
        KitoError: names, shapes, dtypes or numbers of samples are not the model's, or values are
            not finite.
    """
    if callable(inputs):
        try:
            inputs = inputs()
        except Exception as error:
            raise KitoError(
                f"the function that makes the inputs raised {type(error).__name__}: {error}"
            ) from error
        if inputs is None:
            raise KitoError("the function that makes the inputs returned None; return arrays")
    if inputs is None:
        return random_inputs(model, samples=samples, seed=seed, shape=shape, low=low, high=high)
    if isinstance(inputs, str | Path):
        inputs = _read_npz(Path(inputs))
    return _check(functional_view(model), inputs)


def batches(inputs: Inputs, size: int) -> Iterator[Inputs]:
    """Consecutive parts of at most ``size`` samples."""
    for start in range(0, sample_count(inputs), size):
        yield {name: values[start : start + size] for name, values in inputs.items()}


def sample_count(inputs: Inputs) -> int:
    """How many samples there are."""
    return len(next(iter(inputs.values())))


def batch_limit(model: Any, size: int) -> int:
    """The batch size to use where ``size`` is wished: a model may fix its own."""
    fixed = [x.shape[0] for x in _tensors(model).values() if x.shape[0] is not None]
    return int(fixed[0]) if fixed else size


def samples_at_once(inputs: Inputs, most: int) -> int:
    """How many samples, of ``most``, to hold at a time: what a network keeps grows with its inputs.

    At least 8: eight images of 331 x 331 keep some 9 GB in NASNetLarge, the largest common network.
    """
    each = sum(int(values[0].size) for values in inputs.values())
    return min(most, max(8, 1_000_000 // max(each, 1)))


def renamed_inputs(inputs: Inputs, model: Any, other: Any) -> Inputs:
    """Inputs of ``model`` under the names of ``other``, whose inputs match by name or by order.

    Raises:
        KitoError: the two models differ in the number of inputs.
    """
    if isinstance(other, LoadedFile):  # it goes by the names of ``model``
        return inputs
    names, others = list(_tensors(model)), list(_tensors(other))
    if len(names) != len(others):
        raise KitoError(f"'{model.name}' takes the inputs {names}, '{other.name}' takes {others}")
    if set(names) == set(others):
        return inputs
    pairs = zip(names, others, strict=True)
    return {twin: inputs[name] for name, twin in pairs if name in inputs}


def call_arguments(model: Any, batch: Inputs) -> Any:
    """A batch in the structure that ``model(...)`` takes: one array, a list or a dict.

    An optional input that the batch leaves out is None.

    Raises:
        KitoError: the batch leaves out another one.
    """
    names = input_names(model)
    missing = [name for name in names if name not in batch and name not in _optional(model)]
    if missing:
        raise KitoError(f"'{model.name}' takes the inputs {names}, the batch has {list(batch)}")
    flat = [batch.get(name) for name in names]
    return (
        flat[0] if isinstance(model, keras.Sequential) else tree.pack_sequence_as(model.input, flat)
    )


def _tensors(model: Any) -> dict[str, Any]:
    """The symbolic inputs by name, in order."""
    tensors = getattr(model, "inputs", None)
    if not tensors:
        raise UnsupportedModelError(
            f"model '{getattr(model, 'name', model)}' has no symbolic inputs: it is subclassed or "
            "not built. Build it with keras.Input and keras.Model(inputs, outputs)"
        )
    return dict(zip(input_names(model), tensors, strict=True))


def _optional(model: Any) -> set[str]:
    return {x.name for x in model.layers if getattr(x, "optional", False)}


def _sizes(name: str, wanted: Sequence[int | None], given: Sequence[int] | None) -> tuple[int, ...]:
    if given is None:
        if None in wanted:
            raise KitoError(
                f"input '{name}' has open sizes, {tuple(wanted)} without the batch: write them as "
                f"inputs.shape: {{{name}: [...]}}"
            )
        return tuple(int(size) for size in wanted if size is not None)
    if len(given) != len(wanted) or any(
        w is not None and w != g for w, g in zip(wanted, given, strict=False)
    ):
        raise KitoError(
            f"inputs.shape for input '{name}' is {list(given)}, the model takes {list(wanted)} "
            "(without the batch, None for any size)"
        )
    if any(size < 1 for size in given):
        raise KitoError(f"inputs.shape for input '{name}' is {list(given)}: sizes are 1 or more")
    return tuple(given)


def _whole_batches(samples: int, batch: int | None) -> int:
    return samples if batch is None else -(-samples // batch) * batch


def _integer_bounds(model: Any) -> dict[str, int]:
    """By input name, how many values the layer that takes the input knows."""
    bounds: dict[str, int] = {}
    try:
        graph = read_graph(model)
    except UnsupportedModelError:
        return bounds
    for tensor in tree.flatten(graph.inputs):
        for user in tensor.users:
            layer = user.op.layer
            known = getattr(layer, "input_dim", None) or getattr(layer, "num_tokens", None)
            if isinstance(known, int):
                name = tensor.node.op.name
                bounds[name] = min(known, bounds.get(name, known))
    return bounds


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise KitoError(f"{path} is a .npy file; save arrays by name with numpy.savez")
        with file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise KitoError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise KitoError(
            f"{path} is no .npz file of plain arrays ({error}); write it with numpy.savez"
        ) from error


def _check(model: Any, inputs: Any) -> Inputs:
    tensors = _tensors(model)
    names = list(tensors)
    if isinstance(inputs, Mapping):
        given = dict(inputs)
        if len(names) == 1 and len(given) == 1:
            given = {names[0]: next(iter(given.values()))}
    elif isinstance(inputs, list | tuple) and len(names) > 1:
        if len(inputs) != len(names):
            raise KitoError(f"{len(inputs)} inputs given, the model takes {len(names)}: {names}")
        given = dict(zip(names, inputs, strict=True))
    else:
        one = inputs[0] if isinstance(inputs, list | tuple) and len(inputs) == 1 else inputs
        if len(names) > 1:
            raise KitoError(f"one input given, the model takes {len(names)}: {names}")
        given = {names[0]: one}
    optional = _optional(model)
    given = {name: x for name, x in given.items() if x is not None or name not in optional}
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


def _check_one(name: str, tensor: Any, given: Any) -> np.ndarray:
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    try:
        values = np.asarray(given)
    except ValueError as error:
        raise KitoError(f"input '{name}' is no array: {error}") from error
    wanted = tuple(tensor.shape)
    if values.ndim != len(wanted) or any(
        w is not None and w != g for w, g in zip(wanted[1:], values.shape[1:], strict=False)
    ):
        raise KitoError(
            f"input '{name}' has shape {values.shape}, the model takes {wanted} "
            "(None for any size; first the samples)"
        )
    if wanted[0] is not None and len(values) % wanted[0]:
        raise KitoError(
            f"input '{name}' has {len(values)} samples, the model takes batches of {wanted[0]}"
        )
    if dtype == "string":
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
        raise KitoError(f"input '{name}' holds values that {dtype} cannot")
    return cast
