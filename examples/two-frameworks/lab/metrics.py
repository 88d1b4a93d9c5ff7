"""What may not get worse: the part of the images that is classified right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def accuracy(predict: Callable[[Any], np.ndarray], data: Mapping[str, np.ndarray]) -> float:
    """Of a model that takes images (samples, 8, 8, 1)."""
    return float((predict(data["image"]).argmax(axis=-1) == data["label"]).mean())


def accuracy_channels_first(
    predict: Callable[[Any], np.ndarray], data: Mapping[str, np.ndarray]
) -> float:
    """Of a module that takes images (samples, 1, 8, 8)."""
    return accuracy(predict, {**data, "image": data["image"].transpose(0, 3, 1, 2)})
