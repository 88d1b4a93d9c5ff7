from __future__ import annotations

import gc
import math
from collections.abc import Callable

import numpy as np
import pytest

from kito.pairs import (
    FIRST_LOOK,
    LEAST_PAIRS,
    WARM_UP_CALLS,
    Pairs,
    judge,
    least_for,
    measure_pairs,
    median_interval,
    noise_floor,
    warm_up,
)


class Machine:
    """A clock that only its own calls move, and how they are disturbed.

    jitter: spread of each call; drift: of a level that wanders slowly; spikes: how often a call is
    hit by something else; slow: how much longer most calls take on a second core, to which the
    process moves and from which it comes back every 50 calls or so; trend: slower with each call.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        jitter: float = 0.02,
        drift: float = 0.0,
        spikes: float = 0.0,
        slow: float = 0.0,
        trend: float = 0.0,
    ) -> None:
        self.now = 0.0
        self.calls: list[float] = []
        self._rng = np.random.default_rng(seed)
        self._jitter, self._drift, self._trend = jitter, drift, trend
        self._spikes, self._slow = spikes, slow
        self._level, self._on_slow_core = 0.0, False

    def clock(self) -> float:
        return self.now

    def call(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            rng = self._rng
            self._level = 0.98 * self._level + self._drift * rng.standard_normal()
            self._on_slow_core ^= rng.random() < 0.02
            noise = self._level + self._jitter * rng.standard_normal()
            factor = math.exp(noise + self._trend * len(self.calls))
            if rng.random() < self._spikes:
                factor *= 1 + rng.exponential(1.5)
            if self._on_slow_core and rng.random() < 0.7:
                factor *= 1 + self._slow
            self.calls.append(seconds)
            self.now += seconds * factor

        return run


NOISES: dict[str, dict[str, float]] = {
    "quiet": {},
    "drift": {"drift": 0.02, "jitter": 0.05},
    "spikes": {"spikes": 0.1},
    "second core": {"slow": 0.6},
    "trend": {"trend": 0.002},
    "all but trend": {"drift": 0.02, "jitter": 0.05, "spikes": 0.1, "slow": 0.6},
}


def measure(
    machine: Machine,
    ratio: float,
    minimum: float | None,
    *,
    seconds: float = 0.01,
    budget_s: float = 4.0,
    seed: int = 0,
) -> Pairs:
    return measure_pairs(
        machine.call(seconds * ratio),
        machine.call(seconds),
        minimum=minimum,
        confidence=0.95,
        budget_s=budget_s,
        rng=np.random.default_rng(seed),
        clock=machine.clock,
    )


class TestVerdict:
    @pytest.mark.parametrize("noise", NOISES)
    def test_errors_are_no_likelier_than_the_confidence_allows(self, noise: str) -> None:
        # At the minimum itself each verdict is an error, and looks repeat until the budget ends.
        runs = [
            measure(Machine(seed=seed, **NOISES[noise]), 1.2, 1.2, seed=seed + 1000)
            for seed in range(100)
        ]
        wrong = [run.verdict for run in runs].count("pass")
        covered = sum(run.low <= 1.2 <= run.high for run in runs)
        assert wrong <= 4
        assert covered >= 95

    @pytest.mark.parametrize("noise", NOISES)
    @pytest.mark.parametrize("ratio, verdict", [(1.5, "pass"), (1.0, "fail")])
    def test_a_clear_case_is_decided(self, noise: str, ratio: float, verdict: str) -> None:
        verdicts = [
            measure(Machine(seed=seed, **NOISES[noise]), ratio, 1.2, budget_s=12, seed=seed).verdict
            for seed in range(40)
        ]
        assert sum(found == verdict for found in verdicts) >= 38

    def test_a_clear_case_ends_at_the_first_look(self) -> None:
        assert len(measure(Machine(), 1.5, 1.2).original) == FIRST_LOOK

    def test_few_calls_that_are_slow_still_give_a_verdict(self) -> None:
        pairs = measure(Machine(), 1.5, 1.2, seconds=1.0, budget_s=30)
        assert least_for(0.025) <= len(pairs.original) < FIRST_LOOK
        assert pairs.verdict == "pass"

    @pytest.mark.parametrize(
        "low, high, floor, minimum, verdict",
        [
            (1.20, 1.30, 0.01, 1.20, "pass"),
            (1.10, 1.19, 0.01, 1.20, "fail"),
            (1.19, 1.21, 0.01, 1.20, None),
            # 1 is "not slower", which an interval can show however much noise there is.
            (1.00, 1.10, 0.20, 1.00, "pass"),
            (0.90, 0.99, 0.20, 1.00, "fail"),
            # A claim within the noise floor needs an interval outside of it.
            (1.03, 1.05, 0.06, 1.02, None),
            (1.07, 1.10, 0.06, 1.02, "pass"),
            (0.95, 1.01, 0.06, 1.02, None),
            (0.85, 0.93, 0.06, 1.02, "fail"),
            (0.50, 0.60, 0.06, 0.0, "pass"),
        ],
    )
    def test_of_an_interval(
        self, low: float, high: float, floor: float, minimum: float, verdict: str | None
    ) -> None:
        assert judge(low, high, floor, minimum) == verdict


class TestBudget:
    def test_ends_as_inconclusive(self) -> None:
        machine = Machine()
        pairs = measure(machine, 1.2, 1.2, budget_s=3)
        assert pairs.verdict == "inconclusive"
        assert 2.9 <= machine.now <= 3.0

    def test_calls_that_exceed_it_are_still_timed_thrice(self) -> None:
        machine = Machine()
        pairs = measure(machine, 1.2, 1.2, seconds=10, budget_s=5)
        assert len(pairs.original) == LEAST_PAIRS
        assert len(machine.calls) == 2 * (LEAST_PAIRS + 1), "one call each to warm up"
        assert pairs.verdict == "inconclusive"

    def test_without_a_minimum_ends_when_precise(self) -> None:
        machine = Machine()
        pairs = measure(machine, 1.2, None, budget_s=100)
        assert pairs.verdict is None
        assert pairs.high - pairs.low <= 0.04 * pairs.ratio
        assert machine.now < 5

    def test_without_a_minimum_is_a_quarter(self) -> None:
        machine = Machine(jitter=0.5)
        measure(machine, 1.2, None, budget_s=20)
        assert 4.5 <= machine.now <= 5.0


class TestPairs:
    def test_hold_both_calls_in_random_order(self) -> None:
        machine = Machine(jitter=0)
        measure(machine, 1.5, 1.2)
        warmed_up = len(machine.calls) - 2 * FIRST_LOOK
        pairs = np.reshape(machine.calls[warmed_up:], (-1, 2))
        assert np.allclose(pairs.sum(axis=1), 0.025)
        assert 0 < sum(pairs[:, 0] > pairs[:, 1]) < FIRST_LOOK

    def test_give_the_median_of_their_ratios(self) -> None:
        pairs = measure(Machine(spikes=0.1), 1.5, 1.2)
        ratios = np.divide(pairs.original, pairs.reduced)
        assert pairs.ratio == np.median(ratios)
        assert pairs.low <= pairs.ratio <= pairs.high

    def test_are_the_same_for_the_same_seed(self) -> None:
        assert measure(Machine(), 1.5, 1.2, seed=3) == measure(Machine(), 1.5, 1.2, seed=3)

    def test_without_noise_are_all_alike(self) -> None:
        pairs = measure(Machine(jitter=0), 1.5, 1.2)
        assert (pairs.low, pairs.high) == pytest.approx((1.5, 1.5))
        assert pairs.noise_floor == pytest.approx(0)


class TestGarbageCollection:
    @pytest.fixture(autouse=True)
    def _restore(self) -> object:
        yield
        gc.enable()

    @pytest.mark.parametrize("before", [True, False])
    def test_is_off_in_each_call_and_then_as_before(self, before: bool) -> None:
        machine = Machine()
        seen: set[bool] = set()
        call = machine.call(0.01)

        def watched() -> None:
            seen.add(gc.isenabled())
            call()

        if not before:
            gc.disable()
        rng = np.random.default_rng(0)
        measure_pairs(
            watched,
            watched,
            minimum=0.5,
            confidence=0.95,
            budget_s=1,
            rng=rng,
            clock=machine.clock,
        )
        assert seen == {False}
        assert gc.isenabled() == before

    def test_is_restored_when_a_call_raises(self) -> None:
        machine = Machine()

        def fails() -> None:
            raise MemoryError

        with pytest.raises(MemoryError):
            measure_pairs(
                fails,
                fails,
                minimum=None,
                confidence=0.95,
                budget_s=1,
                rng=np.random.default_rng(0),
                clock=machine.clock,
            )
        assert gc.isenabled()


class TestWarmUp:
    def test_lasts_until_calls_get_no_faster(self) -> None:
        now, calls = 0.0, 0

        def call() -> None:
            nonlocal now, calls
            now += 0.1 + 0.8**calls
            calls += 1

        assert warm_up(call, lambda: now, limit=100) == calls
        assert 10 < calls < 40
        assert 0.8**calls < 0.02

    def test_is_capped(self) -> None:
        now = 1.0

        def ever_faster() -> None:
            nonlocal now
            now *= 1 - 1e-2

        assert warm_up(ever_faster, lambda: -1e3 / now, limit=math.inf) <= WARM_UP_CALLS
        machine = Machine()
        assert warm_up(machine.call(1.0), machine.clock, limit=3.5) == 4
        assert warm_up(machine.call(1.0), machine.clock, limit=0.1) == 1


class TestMedianInterval:
    def test_holds_for_independent_values(self) -> None:
        rng = np.random.default_rng(0)
        for count in (8, 30, 200):
            intervals = [
                median_interval(rng.standard_exponential(count), 0.1, rng) for _ in range(300)
            ]
            covered = np.mean([low <= math.log(2) <= high for low, high in intervals])
            assert covered >= 0.88

    def test_is_no_narrower_than_the_sign_test(self) -> None:
        rng = np.random.default_rng(0)
        # The 95 % interval of 20 values: from the 6th to the 15th.
        low, high = median_interval(rng.permutation(20) + 1.0, 0.05, rng)
        assert low <= 6
        assert high >= 15

    def test_is_wider_where_neighbours_are_alike(self) -> None:
        rng = np.random.default_rng(0)
        alike = np.repeat(rng.permutation(40), 10).astype(float)
        low, high = median_interval(alike, 0.05, rng)
        shuffled_low, shuffled_high = median_interval(rng.permutation(alike), 0.05, rng)
        assert high - low > 1.5 * (shuffled_high - shuffled_low)

    def test_of_too_few_values_is_their_range(self) -> None:
        rng = np.random.default_rng(0)
        assert least_for(0.05) == 6
        assert median_interval(np.array([3.0, 1.0, 2.0]), 0.05, rng) == (1.0, 3.0)
        assert median_interval(np.array([3.0]), 0.05, rng) == (3.0, 3.0)


def test_the_noise_floor_shrinks_with_more_pairs_and_grows_with_noise() -> None:
    rng = np.random.default_rng(0)

    def floor(spread: float, count: int) -> float:
        return noise_floor(list(np.exp(spread * rng.standard_normal(count))), 0.05, rng)

    assert floor(0.02, 1000) < floor(0.02, 40) < floor(0.3, 40)


def test_the_noise_floor_does_not_take_a_trend_for_a_difference() -> None:
    rng = np.random.default_rng(0)
    slower_and_slower = np.exp(0.05 * np.arange(2000) + 0.1 * rng.standard_normal(2000))
    assert noise_floor(list(slower_and_slower), 0.05, rng) < 0.03
