"""The engine of the timings, on a simulated machine."""

from __future__ import annotations

import pytest

from benchmarks.rounds import LEAST_ROUNDS, QUICK, milliseconds, ratio, take_rounds
from simulated import Machine


def test_the_ratio_is_that_within_the_rounds() -> None:
    machine = Machine(seed=1, jitter=0.02, drift=0.05, memory=0.99)
    calls = {"slow": machine.call(0.15), "fast": machine.call(0.1)}
    seconds = take_rounds(calls, rounds=60, budget_s=600, clock=machine.clock)
    assert [len(x) for x in seconds.values()] == [60, 60]
    figure = ratio(seconds["slow"], seconds["fast"])
    assert figure["low"] <= 1.5 <= figure["high"]
    assert figure["high"] - figure["low"] < 0.1
    assert milliseconds(seconds["slow"]) > 1.3 * milliseconds(seconds["fast"])


def test_the_order_within_a_round_is_random() -> None:
    machine = Machine(jitter=0.0)
    take_rounds({"a": machine.call(2), "b": machine.call(1)}, budget_s=600, clock=machine.clock)
    firsts = machine.calls[-120::2]
    assert 15 < firsts.count(1) < 45


def test_the_budget_ends_it_but_not_before_an_interval_is_sure() -> None:
    machine = Machine()
    seconds = take_rounds({"a": machine.call(50)}, budget_s=60, clock=machine.clock)
    assert len(seconds["a"]) == LEAST_ROUNDS


def test_quick_takes_three_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUICK, "1")
    machine = Machine()
    assert len(take_rounds({"a": machine.call(0.1)}, clock=machine.clock)["a"]) == 3
