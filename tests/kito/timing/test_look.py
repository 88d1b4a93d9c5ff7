"""One look at the rounds so far, and whether more of them would bring a verdict."""

from __future__ import annotations

import numpy as np
import pytest

from kito.timing.look import Look, take_look


def look(
    interval: tuple[float, float, float],
    same: tuple[float, float, float] = (1.0, 0.99, 1.01),
    count: int = 100,
) -> Look:
    ratio, low, high = interval
    return Look(count, 0.05, ratio, low, high, same)


def test_it_has_the_medians_and_their_intervals() -> None:
    rng = np.random.default_rng(0)
    reduced = rng.uniform(0.9, 1.1, 50)
    taken = take_look((1.5 * reduced, reduced, 1.5 * reduced / 0.97), 0.05, rng)
    assert (taken.count, taken.risk) == (50, 0.05)
    assert (taken.ratio, taken.low, taken.high) == pytest.approx((1.5, 1.5, 1.5))
    assert taken.same == pytest.approx((0.97, 0.97, 0.97))
    assert taken.floor == pytest.approx(0.03)


def test_too_few_rounds_give_no_verdict() -> None:
    assert look((1.5, 1.4, 1.6), count=6).verdict(1.2) == "pass"
    assert look((1.5, 1.4, 1.6), count=5).verdict(1.2) is None


@pytest.mark.parametrize(
    "interval, same, rounds, in_reach",
    [
        # After four times the rounds, the interval is half as wide.
        ((1.26, 1.16, 1.36), (1.0, 0.99, 1.01), 400, True),
        ((1.24, 1.14, 1.34), (1.0, 0.99, 1.01), 400, False),
        ((1.14, 1.04, 1.24), (1.0, 0.99, 1.01), 400, True),
        ((1.24, 1.14, 1.34), (1.0, 0.99, 1.01), 900, True),
        # The noise floor shrinks as well, but not to less than the control's own distance from 1.
        ((1.26, 1.16, 1.36), (1.0, 0.70, 1.30), 400, True),
        ((1.26, 1.16, 1.36), (1.2, 0.90, 1.50), 400, False),
    ],
)
def test_a_verdict_is_in_reach_where_the_intervals_would_allow_it(
    interval: tuple[float, float, float],
    same: tuple[float, float, float],
    rounds: int,
    in_reach: bool,
) -> None:
    assert look(interval, same).verdict(1.2) is None
    assert look(interval, same).would_decide(1.2, rounds) == in_reach
