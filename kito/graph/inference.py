"""The scope in which layers and models are called for their outputs only."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras


def without_gradients() -> AbstractContextManager[Any]:
    """A scope in which nothing is recorded for training, as in ``model.predict``.

    PyTorch otherwise keeps every intermediate tensor, and refuses to make an array of a tensor that
    depends on a weight, which custom layers and NumPy do. The other backends record nothing.
    """
    if keras.backend.backend() != "torch":
        return nullcontext()
    scope: AbstractContextManager[Any] = importlib.import_module("torch").no_grad()
    return scope
