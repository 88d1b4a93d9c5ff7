"""The backend that Keras uses in this process."""

from __future__ import annotations

from collections.abc import Callable

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


_BACKENDS: dict[str, Callable[[], Backend]] = {
    "tensorflow": TensorFlow,
    "jax": Jax,
    "torch": Torch,
}
