"""Why a layer is not inlined, in words."""

from __future__ import annotations

import re

from kito.errors import UnsupportedModelError, plain_text, summarize
from kito.graph.ir import Op


class StaysClosed(Exception):
    """A layer cannot be inlined; the message is the reason."""


class CannotOpen(UnsupportedModelError):
    """A subclassed model cannot be inlined.

    Attributes:
        op: the op of the model, whose only call is that of a functional model around it.
    """

    def __init__(self, op: Op) -> None:
        model = op.layer
        super().__init__(
            f"model '{model.name}' is a subclassed model ({type(model).__name__}) that cannot be "
            f"opened: {op.closed}. Write it with the functional API, keras.Model(inputs, outputs)"
        )
        self.op = op


_OUTSIDE = re.compile(
    "cannot be used as input to a TensorFlow|convert it to a NumPy"
    "|JAX function|__jax_array__"
    r"|must be Tensor, not KerasTensor|got KerasTensor|got \([^)]*KerasTensor"
)
"""What TensorFlow, NumPy, JAX and PyTorch say of a symbolic tensor of Keras."""


def tracing_failure(error: Exception) -> str:
    """Why a layer's ``call`` failed on symbolic tensors, from what it raised."""
    text = plain_text(error)
    if "cannot be used as a boolean" in text:
        return "its call() decides by the values of tensors"
    if _OUTSIDE.search(text):
        return "its call() uses operations outside Keras"
    return f"its call() cannot be followed: {summarize(error)}"
