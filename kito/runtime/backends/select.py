"""The backend that Keras uses in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from kito.errors import KitoError
from kito.graph.torch_model import framework_of
from kito.runtime.backends.jax import Jax
from kito.runtime.backends.protocol import Backend
from kito.runtime.backends.tensorflow import TensorFlow
from kito.runtime.backends.torch import Torch
from kito.runtime.backends.torch_modules import TorchModules


def current() -> Backend:
    """The backend that Keras uses.

    Raises:
        KitoError: kito does not support this backend.
    """
    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise KitoError(
            f"inference on the Keras backend '{name}' cannot be timed; set KERAS_BACKEND to one "
            f"of {', '.join(_BACKENDS)}"
        )
    return _BACKENDS[name]()


def of(model: Any = None) -> Backend:
    """The backend that runs a model: PyTorch for PyTorch modules, else the one that Keras uses.

    Args:
        model: None for a model of Keras.

    Raises:
        KitoError: kito does not support this backend.
    """
    return of_framework(framework_of(model))


def of_framework(framework: str) -> Backend:
    """The backend that runs models of ``keras``, or modules of ``torch``.

    Raises:
        KitoError: kito does not support the backend that Keras uses.
    """
    return TorchModules() if framework == "torch" else current()


def full_float32(model: Any = None) -> AbstractContextManager[None]:
    """A scope in which float32 is computed in float32, where the backend is known.

    GPUs may multiply in TF32, with ten bits of mantissa. Rounding is then about 1e-3 of the scale,
    in which a small fault would be lost.

    Args:
        model: what computes; None for a model of Keras.
    """
    known = framework_of(model) == "torch" or keras.backend.backend() in _BACKENDS
    return of(model).full_float32() if known else nullcontext()


_BACKENDS: dict[str, Callable[[], Backend]] = {
    "tensorflow": TensorFlow,
    "jax": Jax,
    "torch": Torch,
}
