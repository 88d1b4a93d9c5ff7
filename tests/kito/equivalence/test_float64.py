"""What counts as rounding against the original in float64."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import kito
from kito.equivalence import float64 as rounding
from kito.equivalence.float64 import Errors, errors_vs_float64
from kito.errors import KitoError
from kito.runtime.backends import select
from kito.runtime.random_inputs import random_inputs


@pytest.mark.parametrize(
    "rms, peak, problem",
    [
        ((1e-4, 1.4e-4), (1e-3, 4e-3), ""),
        ((1e-4, 1.6e-4), (1e-3, 1e-3), "relative RMS error is 0.00016"),
        # One pixel of many: the RMS hardly shows it.
        ((1e-4, 1.1e-4), (1e-3, 2e-2), "largest relative error is 0.02"),
        ((0.0, 1e-4), (0.0, 1e-4), "the original's own 0;"),
        ((1e-8, 9e-7), (1e-8, 9e-7), ""),
        ((2e-2, 2e-2), (2e-2, 2e-2), "cannot serve as a reference"),
        ((float("nan"), 1e-5), (1e-5, 1e-5), "cannot serve as a reference"),
        ((1e-5, float("nan")), (1e-5, float("nan")), "relative RMS error is nan"),
    ],
)
def test_what_rounding_explains(
    rms: tuple[float, float], peak: tuple[float, float], problem: str
) -> None:
    found = Errors(rms, peak, mixed=False).problem
    assert problem in found
    assert bool(found) == bool(problem)


def test_a_message_says_where_the_float64_run_was() -> None:
    assert "in float64 on the gpu" in Errors((1e-4, 1e-2), (1e-3, 1e-2), False, "gpu").problem


def test_float16_may_be_further_from_float64() -> None:
    assert Errors((2e-2, 2e-2), (2e-2, 2e-2), mixed=True).problem == ""


def test_each_output_is_measured_against_its_own_truth() -> None:
    image = keras.Input((16,), name="image")
    outputs: list[Any] = [
        keras.layers.Dense(32, name=name)(image * scale) for name, scale in [("a", 1e4), ("b", 1)]
    ]
    model = keras.Model(image, outputs)
    wrong = kito.equivalence.float64.copy_model(model)
    wrong.get_layer("b").set_weights([w * 1.01 for w in model.get_layer("b").get_weights()])
    large, small = errors_vs_float64(model, wrong, random_inputs(model, samples=20), 8, False)
    assert large.rms[0] == large.rms[1] < 1e-6
    assert small.rms[1] == pytest.approx(1e-2, rel=1e-2)
    assert small.peak[1] == pytest.approx(1e-2, rel=1e-2)


def classifier() -> Any:
    image = keras.Input((16,), name="image")
    x = keras.layers.Dense(32, activation="relu")(image)
    return keras.Model(image, keras.layers.Dense(4, name="scores")(x))


class WithGpu:
    """A backend that has a GPU which computes in float64; writes down where things are done."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.log = fails, list[str]()

    def float64_kind(self) -> str:
        return "gpu"

    def full_float32(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def float64(self, kind: str) -> Iterator[None]:
        self.log.append(kind)
        if self.fails and kind == "gpu":
            raise KitoError("out of memory")
        yield


@pytest.mark.backends("tensorflow", "torch")  # the simulated backend enables no float64 on JAX
@pytest.mark.parametrize("fails, device", [(False, "gpu"), (True, "cpu")])
def test_it_is_run_on_the_gpu_and_where_that_fails_on_the_cpu(
    fails: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = WithGpu(fails)
    monkeypatch.setattr(select, "current", lambda: backend)
    model = classifier()
    (found,) = errors_vs_float64(model, model, random_inputs(model, samples=4), 4, False)
    assert found.device == device
    # Once for the copy, then for each of two batches.
    assert backend.log == [*(["gpu"] if fails else []), *([device] * 3)]
    comparison = kito.compare(model, model, reference="float64")
    assert comparison.float64_device == device
    assert f"against float64 on the {device}" in comparison.message()


def test_a_truth_of_less_than_float64_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JAX would give, without a word."""
    copy_model = rounding.copy_model
    monkeypatch.setattr(rounding, "copy_model", lambda model, dtype: copy_model(model, "float32"))
    model = classifier()
    with pytest.raises(KitoError, match="'scores' of its copy in float64 is float32"):
        errors_vs_float64(model, model, random_inputs(model, samples=4), 4, False)
    found = kito.compare(model, model, reference="float64")
    assert not found.passed
    assert "cannot be run in float64" in found.reason


def test_it_is_copied_once_run_in_small_batches_and_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies: list[Any] = []
    sizes: list[int] = []
    copy_model, run = rounding.copy_model, rounding.run

    def copied(model: Any, dtype: str) -> Any:
        copy = copy_model(model, dtype)
        copies.append(weakref.ref(copy))
        return copy

    def ran(model: Any, batch: Any) -> list[np.ndarray]:
        sizes.append(len(batch["image"]))
        return run(model, batch)

    monkeypatch.setattr(rounding, "copy_model", copied)
    monkeypatch.setattr(rounding, "run", ran)
    model = classifier()
    errors_vs_float64(model, model, random_inputs(model, samples=20), 8, False)
    assert max(sizes) == 4
    assert len(copies) == 1
    gc.collect()
    assert copies[0]() is None
