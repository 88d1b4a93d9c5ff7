"""A file that an engine has loaded, to compare in the place of a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LoadedFile:
    """A file that an engine has loaded. Unlike a Keras model, it has no layers.

    Attributes:
        name: the name of the file, for messages.
        run: runs the file: from arrays of shape (samples, ...) by the original's input names to
            arrays in the structure of the original's outputs.
    """

    name: str
    run: Callable[[Mapping[str, np.ndarray]], Any]
