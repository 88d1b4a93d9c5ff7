"""The handwritten digits of scikit-learn: clean images, noisy images and labels."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

NOISE = 0.3
TEST = 450
"""Images at the end that no network is trained on."""


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Images ``(1797, 8, 8, 1)``, float32 from 0 to 1, and labels ``(1797,)``."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[order, :, :, np.newaxis] / 16.0).astype("float32")
    return images, digits.target[order].astype("uint8")


def noisy(images: np.ndarray) -> np.ndarray:
    """The images with noise, the same noise every time."""
    noise = np.random.default_rng(0).normal(scale=NOISE, size=images.shape)
    return (images + noise).astype("float32")
