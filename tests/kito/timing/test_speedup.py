"""``measure_speedup``: what it times, on which batch and device, and what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from imaginary import Nvml
from kito.errors import KitoError
from kito.runtime.backends import Jit
from kito.runtime.batch import Inputs
from kito.runtime.devices import Device
from kito.runtime.nvml import GpuWatch
from kito.timing import speedup
from kito.timing.overhead import Overheads
from kito.timing.speedup import measure_speedup

GPU = Device("gpu", "Imaginary 1", "1.2.3")


def network(name: str, *, batch: int | None = None) -> keras.Model:
    inputs = keras.Input((6, 6, 2), batch_size=batch, name="image")
    x = keras.layers.Conv2D(3, 3)(inputs)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(inputs, keras.layers.Flatten()(x), name=name)


@pytest.fixture(scope="module")
def original() -> keras.Model:
    return network("original")


@pytest.fixture(scope="module")
def reduced() -> keras.Model:
    return network("reduced")


class Calls:
    """Instead of the device: moves a clock by the seconds that a model's call takes."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.now = 0.0
        self.batches: dict[str, Inputs] = {}
        self.devices: set[Device] = set()
        self._seconds = seconds
        self.compiled: list[tuple[str, bool]] = []

    def compiled_call(
        self, model: keras.Model, batch: Inputs, device: Device, jit: bool
    ) -> Callable[[], None]:
        self.batches[model.name] = batch
        self.devices.add(device)
        self.compiled.append((model.name, jit))

        def call() -> None:
            self.now += self._seconds[model.name]

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls({"original": 0.030, "reduced": 0.020})
    monkeypatch.setattr(speedup, "compiled_call", calls.compiled_call)
    monkeypatch.setattr(speedup, "perf_counter", lambda: calls.now)
    overheads = Overheads(transfer_ms=1.0, predict_ms=None)
    monkeypatch.setattr(speedup, "measure_overheads", lambda *_: overheads)
    return calls


def test_a_real_model_is_measured(original: keras.Model, reduced: keras.Model) -> None:
    estimate = measure_speedup(original, reduced, batch_size=2, budget_s=10, minimum=0.01)
    assert 0 < estimate.low <= estimate.ratio <= estimate.high
    assert estimate.noise_floor >= 0
    assert estimate.verdict == "pass", "at least a hundredth of the speed of its equal"
    for middle, upper in (estimate.original_ms, estimate.reduced_ms):
        assert 0 < middle <= upper
    assert estimate.pairs >= 3
    assert (estimate.batch_size, estimate.minimum, estimate.confidence) == (2, 0.01, 0.95)
    assert estimate.device.name
    assert estimate.seconds > 0
    assert estimate.threads >= 1
    assert estimate.explanation.startswith("at least ")
    on_jax = keras.backend.backend() == "jax"  # which runs by XLA only
    assert (estimate.jit, estimate.gpu, estimate.warnings) == (on_jax, None, ())
    assert estimate.transfer_ms is not None
    assert estimate.predict_ms is not None
    assert estimate.predict_ms > estimate.reduced_ms[0]


def test_the_figures_are_of_the_calls(
    original: keras.Model, reduced: keras.Model, calls: Calls
) -> None:
    estimate = measure_speedup(original, reduced, minimum=1.2, device=GPU)
    assert (estimate.ratio, estimate.low, estimate.high) == pytest.approx((1.5, 1.5, 1.5))
    assert estimate.original_ms == pytest.approx((30, 30))
    assert estimate.reduced_ms == pytest.approx((20, 20))
    assert (estimate.verdict, estimate.pairs) == ("pass", 60), "the default budget is auto"
    assert estimate.seconds == pytest.approx(calls.now)
    assert estimate.device == GPU
    assert calls.devices == {GPU}
    # The original is compiled once more: against itself it gives the noise floor.
    assert [name for name, _ in calls.compiled] == ["original", "reduced", "original"]
    assert (estimate.transfer_ms, estimate.predict_ms) == (1.0, None)


@pytest.mark.backends("tensorflow")  # the others compile in one way only
@pytest.mark.parametrize("jit", ["on", "off"])
def test_both_models_are_compiled_as_declared(
    original: keras.Model, reduced: keras.Model, calls: Calls, jit: Jit
) -> None:
    estimate = measure_speedup(original, reduced, device=GPU, jit=jit)
    assert {flag for _, flag in calls.compiled} == {jit == "on"} == {estimate.jit}


def test_a_gpu_that_slows_down_is_in_the_result(
    original: keras.Model, reduced: keras.Model, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(speedup, "GpuWatch", lambda: GpuWatch(clock=lambda: calls.now))

    def heat_up(pairs: int) -> None:
        nvml.sm_mhz = 600 if pairs > 10 else 1400

    estimate = measure_speedup(
        original, reduced, device=GPU, minimum=1.5, budget_s=30, progress=heat_up
    )
    assert estimate.gpu is not None
    assert estimate.gpu["clocks_mhz"]["sm"][1] == 600
    assert estimate.warnings == ("the GPU's sm clock fell from 1000 to 600 MHz while it was timed",)
    cpu = Device("cpu", "Imaginary 2")
    assert measure_speedup(original, reduced, device=cpu, minimum=1.2).gpu is None


def test_without_a_minimum_there_is_no_verdict(
    original: keras.Model, reduced: keras.Model, calls: Calls
) -> None:
    assert measure_speedup(original, reduced, device=GPU).verdict is None


def test_inputs_may_be_named_otherwise(original: keras.Model, calls: Calls) -> None:
    inputs = keras.Input((6, 6, 2), name="picture")
    other = keras.Model(inputs, keras.layers.Flatten()(inputs), name="reduced")
    measure_speedup(original, other, batch_size=2, device=GPU)
    first, second = calls.batches["original"]["image"], calls.batches["reduced"]["picture"]
    assert np.array_equal(first, second)


@pytest.mark.parametrize("count", [2, 5, 9])
def test_the_batch_is_the_first_samples_repeated_where_too_few(
    original: keras.Model, reduced: keras.Model, calls: Calls, count: int
) -> None:
    samples = np.arange(count)[:, None, None, None] * np.ones((1, 6, 6, 2), "float32")
    measure_speedup(original, reduced, samples, batch_size=5, device=GPU)
    for batch in calls.batches.values():
        assert batch["image"][:, 0, 0, 0].tolist() == [x % count for x in range(5)]


def test_random_inputs_are_a_whole_batch(
    original: keras.Model, reduced: keras.Model, calls: Calls
) -> None:
    measure_speedup(original, reduced, batch_size=7, device=GPU)
    assert len(np.unique(calls.batches["reduced"]["image"][:, 0, 0, 0])) == 7


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 0}, "batch_size is 0; it must be a whole number"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"batch_size": True}, "batch_size is True"),
        ({"minimum": -0.1}, "minimum is -0.1"),
        ({"minimum": float("nan")}, "minimum is nan"),
        ({"confidence": 0}, "confidence is 0; it must be above 0 and below 1"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"budget_s": 0}, "budget_s is 0; it must be a number of seconds above 0"),
        ({"budget_s": float("inf")}, "budget_s is inf"),
        (
            {"budget_s": "Auto"},
            "budget_s is 'Auto'; it must be a number of seconds above 0, or auto",
        ),
        ({"budget_s": None}, "budget_s is None"),
        ({"jit": True}, "jit is True; it must be one of auto, on, off"),
        ({"reduced": None}, "the reduced model is of type NoneType"),
        ({"original": "model.keras"}, "the original model is of type str"),
        ({"inputs": np.zeros((2, 3))}, "input 'image' has shape"),
    ],
)
def test_what_is_out_of_range_is_said(
    original: keras.Model, reduced: keras.Model, arguments: dict[str, Any], message: str
) -> None:
    given = {"original": original, "reduced": reduced, "device": GPU, **arguments}
    with pytest.raises(KitoError, match=message):
        measure_speedup(**given)


def test_a_model_of_a_fixed_batch_size_takes_no_other(reduced: keras.Model) -> None:
    fixed = network("fixed", batch=4)
    with pytest.raises(KitoError, match="'fixed' takes batches of 4 only; use batch_size=4"):
        measure_speedup(fixed, reduced, batch_size=8, device=GPU)


def test_a_call_that_fails_is_said_with_the_reason(
    original: keras.Model, reduced: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled_call(*_: object) -> Callable[[], None]:
        def call() -> None:
            raise RuntimeError("out of memory")

        return call

    monkeypatch.setattr(speedup, "compiled_call", compiled_call)
    with pytest.raises(KitoError, match=r"batch of 32 on 'Imaginary 1': RuntimeError: out of mem"):
        measure_speedup(original, reduced, device=GPU)
