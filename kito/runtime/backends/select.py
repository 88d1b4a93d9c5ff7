"""The backend that Keras uses in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import keras

from kito.errors import KitoError
from kito.runtime.backends.jax import Jax
from kito.runtime.backends.protocol import Backend
from kito.runtime.backends.tensorflow import TensorFlow
from kito.runtime.backends.torch import Torch


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


def full_float32() -> AbstractContextManager[None]:
    """A scope in which float32 is computed in float32, where the backend is known.

    GPUs may multiply in TF32, with ten bits of mantissa. Rounding is then about 1e-3 of the scale,
    in which a small fault would be lost.
    """
    if keras.backend.backend() not in _BACKENDS:
        return nullcontext()
    return current().full_float32()


_BACKENDS: dict[str, Callable[[], Backend]] = {
    "tensorflow": TensorFlow,
    "jax": Jax,
    "torch": Torch,
}
