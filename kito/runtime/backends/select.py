"""What Keras computes with, behind one small interface: TensorFlow, JAX or PyTorch.

It is what timing needs of them, and what computing in float64 does. Nobody of us had a GPU: those
lines are written to the backends' documented interfaces and tested with a simulated device only.
"""

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
        KitoError: it is one whose calls cannot be timed.
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
