"""The interval of a median: how often it covers the true median, and how wide it is."""

from __future__ import annotations

import math

import numpy as np

from kito.timing.result import quantiles
from kito.timing.statistics import least_for, median_interval


def test_holds_for_independent_values() -> None:
    rng = np.random.default_rng(0)
    for count in (8, 30, 200):
        intervals = [median_interval(rng.standard_exponential(count), 0.1, rng) for _ in range(300)]
        covered = np.mean([low <= math.log(2) <= high for low, high in intervals])
        assert covered >= 0.88


def test_is_no_narrower_than_the_sign_test() -> None:
    rng = np.random.default_rng(0)
    # The 95 % interval of 20 values: from the 6th to the 15th.
    low, high = median_interval(rng.permutation(20) + 1.0, 0.05, rng)
    assert low <= 6
    assert high >= 15


def test_is_wider_where_neighbours_are_alike() -> None:
    rng = np.random.default_rng(0)
    alike = np.repeat(rng.permutation(40), 10).astype(float)
    low, high = median_interval(alike, 0.05, rng)
    shuffled_low, shuffled_high = median_interval(rng.permutation(alike), 0.05, rng)
    assert high - low > 1.5 * (shuffled_high - shuffled_low)


def test_of_too_few_values_is_their_range() -> None:
    rng = np.random.default_rng(0)
    assert least_for(0.05) == 6
    assert median_interval(np.array([3.0, 1.0, 2.0]), 0.05, rng) == (1.0, 3.0)
    assert median_interval(np.array([3.0]), 0.05, rng) == (3.0, 3.0)


def test_quantiles_stand_for_the_distribution() -> None:
    rng = np.random.default_rng(0)
    found = quantiles(tuple(rng.permutation(101) / 1000))
    assert found == tuple(range(0, 101, 5))
    assert quantiles((0.00123456,)) == (1.235,) * 21
