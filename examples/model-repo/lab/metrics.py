"""What the owners of the models answer for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
Data = Mapping[str, np.ndarray]


def accuracy(predict: Predict, data: Data) -> float:
    """The share of images whose highest score is that of their label."""
    return float(np.mean(predict(data["image"]).argmax(axis=-1) == data["label"]))


def error(predict: Predict, data: Data) -> float:
    """The mean square of what is left between the result and the clean image."""
    return float(np.mean((predict(data["image"]) - data["clean"]) ** 2))
