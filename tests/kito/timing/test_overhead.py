"""The transfer of a batch and ``predict``: timed apart; the model is left unchanged."""

from __future__ import annotations

import keras
import pytest

from kito.runtime.devices import Device
from kito.runtime.random_inputs import random_inputs
from kito.timing import overhead
from kito.timing.overhead import CALLS, measure_overheads

CPU = Device("cpu", "this one")


@pytest.fixture
def model() -> keras.Model:
    inputs = keras.Input((3,), name="image")
    return keras.Model({"image": inputs}, {"scores": keras.layers.Dense(2)(inputs)})


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_both_are_medians_and_the_model_stays_as_it_was(model: keras.Model) -> None:
    before = dict(vars(model))
    found = measure_overheads(model, random_inputs(model, samples=4), CPU, Clock(), 100)
    assert (found.transfer_ms, found.predict_ms) == (1000, 1000)
    assert vars(model) == before


def test_slow_ones_are_called_once_beside_the_first(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(overhead, "transfer_call", lambda *_: lambda: calls.append(1))
    batch = random_inputs(model, samples=2)
    measure_overheads(model, batch, CPU, Clock(), 0.5)
    assert len(calls) == 2
    calls.clear()
    measure_overheads(model, batch, CPU, Clock(), 1e6)
    assert len(calls) == CALLS + 1


def test_one_that_cannot_be_done_is_no_failure(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(overhead, "transfer_call", lambda *_: fails)
    found = measure_overheads(model, random_inputs(model, samples=2), CPU, Clock(), 1)
    assert found.transfer_ms is None
    assert found.predict_ms is not None


def test_a_sequential_model_that_was_never_called() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    found = measure_overheads(model, random_inputs(model, samples=2), CPU, Clock(), 1)
    assert found.predict_ms == 1000
