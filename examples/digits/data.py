"""The digits of scikit-learn (UCI's optical recognition of handwritten digits) as images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_FRACTION = 0.25
SPLIT_SEED = 0


class Digits(NamedTuple):
    """Images ``(samples, 8, 8, 1)``, float32 in 0..1, and labels ``(samples,)``, int64 in 0..9."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


def load() -> Digits:
    """The 1797 digits, always split in the same way: 1347 to train on, 450 to test with."""
    digits = load_digits()
    images = (digits.images[..., np.newaxis] / 16.0).astype(np.float32)
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_FRACTION, random_state=SPLIT_SEED, stratify=labels
    )
    return Digits(train_images, train_labels, test_images, test_labels)
