"""KITO's own check of two models, kept as it was: the largest difference, printed and returned."""

from __future__ import annotations

from typing import Any

import numpy as np

from kito.equivalence.difference import output_pairs
from kito.errors import KitoError
from kito.runtime.batch import batch_limit, samples_at_once
from kito.runtime.pair import as_functional_pair, renamed_inputs
from kito.runtime.random_inputs import random_inputs


def compare_two_models_results(
    m1: Any, m2: Any, test_number: int = 10000, max_batch: int = 10000
) -> float:
    """Print and return the largest absolute difference of two models on random inputs.

    Args:
        m1: a model.
        m2: another one that takes the same inputs.
        test_number: number of samples, uniform in [0, 1).
        max_batch: most samples held at a time; fewer where the inputs are large.

    Returns:
        The largest difference; NaN if an output is NaN.

    Raises:
        KitoError: a number is not positive, or the outputs differ in structure, names or shapes.
    """
    if test_number < 1 or max_batch < 1:
        raise KitoError("test_number and max_batch must be at least 1")
    m1, m2 = as_functional_pair(m1, m2)
    size = min(max_batch, samples_at_once(random_inputs(m1, samples=1), 256))
    size = batch_limit(m1, size)
    largest = 0.0
    for done in range(0, test_number, size):
        batch = random_inputs(m1, samples=min(size, test_number - done), seed=done)
        for _, a, b in output_pairs(m1, m2, batch, renamed_inputs(batch, m1, m2)):
            difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
            # np.maximum, unlike max, lets NaN through
            largest = float(np.maximum(largest, np.max(difference, initial=0.0)))
    print(f"Max difference on {test_number} samples: {largest}")  # noqa: T201 (KITO printed it)
    return largest
