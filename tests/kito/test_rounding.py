"""What counts as rounding against the original in float64."""

from __future__ import annotations

from typing import Any

import keras
import pytest

import kito
from kito.inputs import random_inputs
from kito.rounding import Errors, errors_vs_float64


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


def test_float16_may_be_further_from_float64() -> None:
    assert Errors((2e-2, 2e-2), (2e-2, 2e-2), mixed=True).problem == ""


def test_each_output_is_measured_against_its_own_truth() -> None:
    image = keras.Input((16,), name="image")
    outputs: list[Any] = [
        keras.layers.Dense(32, name=name)(image * scale) for name, scale in [("a", 1e4), ("b", 1)]
    ]
    model = keras.Model(image, outputs)
    wrong = kito.building.copy_model(model)
    wrong.get_layer("b").set_weights([w * 1.01 for w in model.get_layer("b").get_weights()])
    large, small = errors_vs_float64(model, wrong, random_inputs(model, samples=20), 8, False)
    assert large.rms[0] == large.rms[1] < 1e-6
    assert small.rms[1] == pytest.approx(1e-2, rel=1e-2)
    assert small.peak[1] == pytest.approx(1e-2, rel=1e-2)
