"""Images that neither network was trained on, for both layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "data" / "test.npz"


def test() -> dict[str, np.ndarray]:
    """``image`` (samples, 8, 8, 1), 0 to 1, and ``label`` (samples,)."""
    with np.load(FILE) as arrays:
        return {name: arrays[name] for name in arrays.files}


def channels_last() -> dict[str, np.ndarray]:
    """Inputs of the Keras model."""
    return {"image": test()["image"][:64]}


def channels_first() -> dict[str, np.ndarray]:
    """Inputs of the PyTorch module."""
    return {"image": test()["image"][:64].transpose(0, 3, 1, 2)}
