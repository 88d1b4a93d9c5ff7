"""A file that an engine has loaded, in the place of a Keras model where outputs are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LoadedFile:
    """What runs a file. It has no layers to look into.

    Attributes:
        name: the file's, for messages.
        run: from arrays by the original's input names (first axis: samples) to arrays in the
            structure of the original's outputs.
    """

    name: str
    run: Callable[[Mapping[str, np.ndarray]], Any]
