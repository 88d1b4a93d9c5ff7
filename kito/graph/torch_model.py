"""A PyTorch module in the form of a Keras model, which all that feeds and compares models takes."""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree
from keras.src.models.functional import Functional

from kito.errors import KitoError, describe

_NUMPY = ("float16", "float32", "float64")
"""The floating dtypes that NumPy has, too; others are compared as float32."""


def is_torch_module(value: Any) -> bool:
    """Whether ``value`` is a ``torch.nn.Module`` and no Keras layer; PyTorch is not imported."""
    torch = sys.modules.get("torch")
    return (
        torch is not None
        and isinstance(value, torch.nn.Module)
        and not isinstance(value, keras.Layer)
    )


def framework_of(model: Any) -> str:
    """``torch`` for a wrapped PyTorch module, ``keras`` for any other model."""
    return "torch" if isinstance(model, TorchModel) else "keras"


def as_given(model: Any) -> Any:
    """The PyTorch module that was wrapped; any other model as it is."""
    return model.module if isinstance(model, TorchModel) else model


class TorchModel(Functional):  # type: ignore[misc]
    """A functional Keras model of one layer, which runs a copy of a PyTorch module in eval mode.

    It takes the positional arguments of the module's ``forward``, by name, and can be called,
    whatever backend Keras uses; the arrays pass through NumPy. It has no Keras weights, cannot be
    trained or saved, and a backend cannot compile it: timing and artifacts take :attr:`module`.
    """

    def __init__(self, module: Any, examples: Mapping[str, np.ndarray], name: str) -> None:
        """Run the module once, to know its outputs.

        Args:
            module: a ``torch.nn.Module``. It is neither changed nor run: a copy is.
            examples: a batch of at least one sample, by the names of the arguments of ``forward``.
            name: for messages.

        Raises:
            UnsupportedModelError: the module cannot be copied.
            KitoError: it cannot be run on the examples, or returns something else than tensors.
        """
        held = _Held(module, list(examples.values()))
        inputs = [
            keras.Input(x.shape[1:], dtype=held.dtype_of(x), name=key)
            for key, x in examples.items()
        ]
        try:
            returned = held.call(list(examples.values()))
            outputs = _ModuleCall(held, _structure(returned, to_array))(inputs)
        except KitoError:
            raise
        except Exception as error:  # whatever the forward of a module may raise
            shapes = {key: x.shape for key, x in examples.items()}
            raise KitoError(
                f"module '{name}' fails on inputs of shapes {shapes}: {describe(error)}"
            ) from error
        super().__init__(inputs[0] if len(inputs) == 1 else inputs, outputs, name=name)
        self._held, self._examples = held, _Examples(examples)
        self._places = _places(returned)

    @property
    def module(self) -> Any:
        """The module that it was made of, as it was given."""
        return self._held.module

    @property
    def examples(self) -> dict[str, np.ndarray]:
        """The batch that it was made with."""
        return self._examples.arrays

    @property
    def frozen(self) -> Any:
        """The copy of the module, in eval mode."""
        return self._held.copy

    def tensors(self, batch: Any) -> tuple[Any, ...]:
        """A batch, in the structure that the model takes, as the arguments of the module."""
        return self._held.tensors(tree.flatten(batch))

    def in_module_order(self, names: Sequence[str]) -> list[str]:
        """Names of the outputs in the order of PyTorch, which does not sort the keys of dicts."""
        return [name for _, name in sorted(zip(self._places, names, strict=True))]

    def in_float64(self) -> TorchModel:
        """The same with every float in float64."""
        wide = {
            key: x.astype(np.float64) if x.dtype.kind == "f" else x
            for key, x in self.examples.items()
        }
        # On the CPU: not every GPU has float64.
        return TorchModel(copy.deepcopy(self.frozen).cpu().double(), wide, self.name)


class _Examples:
    """A dict that Keras does not track."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)


class _Held:
    """A module and its copy, which Keras on PyTorch would take for layers of the model."""

    def __init__(self, module: Any, examples: Sequence[np.ndarray]) -> None:
        from kito.graph.torch.given import check_module, copy_module

        check_module(module)
        self.module, self.copy = module, copy_module(module)
        tensors = [*self.copy.parameters(), *self.copy.buffers()]
        dtypes = (str(x.dtype).removeprefix("torch.") for x in tensors if x.is_floating_point())
        given = (str(x.dtype) for x in examples if x.dtype.kind == "f")
        self.precision = next(dtypes, next(given, "float32"))
        """What the module computes in, as Keras names it."""
        self._device = tensors[0].device if tensors else "cpu"
        self._dtypes = [self.precision if x.dtype.kind == "f" else str(x.dtype) for x in examples]

    def dtype_of(self, array: np.ndarray) -> str:
        """The dtype of an input, as Keras' backend holds it."""
        if array.dtype.kind == "f":
            return self.precision if self.precision in _NUMPY else "float32"
        wide = keras.backend.backend() == "jax" and array.dtype.itemsize == 8
        return str(array.dtype).replace("64", "32") if wide else str(array.dtype)

    def tensors(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """Arrays of NumPy or of Keras' backend as tensors, in the dtypes that the module takes."""
        torch = importlib.import_module("torch")
        return tuple(
            torch.from_numpy(np.array(keras.ops.convert_to_numpy(x))).to(
                self._device, getattr(torch, dtype)
            )
            for x, dtype in zip(arrays, self._dtypes, strict=True)
        )

    def call(self, arrays: Sequence[Any]) -> Any:
        """What the module returns for arrays."""
        from kito.graph.torch.record import run_inputs

        return run_inputs(self.copy, self.tensors(arrays))


class _ModuleCall(keras.Layer):  # type: ignore[misc]
    """The layer that runs the module; its name is that of the module's output."""

    def __init__(self, held: _Held, example: Any) -> None:
        super().__init__(name="output", dtype=held.precision, autocast=False, trainable=False)
        self._held, self._example = held, _Examples({"outputs": example})
        self.built = True

    def call(self, inputs: Any) -> Any:
        def tensor(values: np.ndarray) -> Any:  # JAX has no integers of 64 bits, and would warn
            dtype = str(values.dtype) if values.dtype.kind == "f" else None
            return keras.ops.convert_to_tensor(values, dtype=dtype)

        outputs = plain_outputs(self._held.call(tree.flatten(inputs)))
        return tree.map_structure(tensor, outputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        return tree.map_structure(
            lambda x: keras.KerasTensor((None, *x.shape[1:]), dtype=str(x.dtype)),
            self._example.arrays["outputs"],
        )


def argument_names(module: Any, count: int) -> list[str]:
    """The names of the first positional arguments of ``forward``.

    Raises:
        KitoError: it takes fewer.
    """
    kinds = inspect.Parameter
    parameters = list(inspect.signature(module.forward).parameters.values())
    positional = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    names = [x.name for x in parameters if x.kind in positional]
    if count > len(names) and any(x.kind is kinds.VAR_POSITIONAL for x in parameters):
        names += [f"input_{i}" for i in range(len(names), count)]
    if count > len(names):
        raise KitoError(
            f"{type(module).__name__} was given {count} inputs, its forward takes {len(names)}: "
            f"{', '.join(names)}"
        )
    return names[:count]


def plain_outputs(value: Any) -> Any:
    """What a module returned: arrays for its tensors, in lists and dicts; None is left out.

    Raises:
        KitoError: it holds something else than tensors.
    """
    return _structure(value, to_array)


def to_array(tensor: Any) -> np.ndarray:
    """The elements of a tensor, as float32 where NumPy has no such floats."""
    known = not tensor.is_floating_point() or str(tensor.dtype).removeprefix("torch.") in _NUMPY
    array: np.ndarray = (tensor if known else tensor.float()).cpu().numpy()
    return array


def _places(returned: Any) -> list[int]:
    """For each tensor, in the order of Keras, which one of PyTorch's order it is."""
    flatten = importlib.import_module("torch.utils._pytree").tree_leaves
    left = list(enumerate(x for x in flatten(returned) if x is not None))
    places = []
    for tensor in tree.flatten(_structure(returned, lambda x: x)):
        index = next(i for i, (_, other) in enumerate(left) if other is tensor)
        places.append(left.pop(index)[0])
    return places


def _structure(value: Any, leaf: Callable[[Any], Any]) -> Any:
    torch = importlib.import_module("torch")
    if isinstance(value, torch.Tensor):
        return leaf(value)
    if isinstance(value, Mapping):
        return {str(key): _structure(x, leaf) for key, x in value.items() if x is not None}
    if isinstance(value, list | tuple):
        return [_structure(x, leaf) for x in value if x is not None]
    raise KitoError(
        f"the module returns an object of type {type(value).__name__}: only tensors, and lists, "
        "tuples and dicts of them, can be compared"
    )
