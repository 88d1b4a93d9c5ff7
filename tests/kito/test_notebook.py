"""Results render in a notebook, with every name in them as text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import pytest
from html_parts import parse
from kito_models import randomize

import kito

L = keras.layers
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def model() -> Any:
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(4, 3, name="conv")(image)
    x = L.BatchNormalization(name=HOSTILE)(x)
    x = L.Softmax(name="softmax")(x)
    x = L.BatchNormalization(name=f"{HOSTILE}late")(x)
    x = L.Softmax(name=f"{HOSTILE}out")(x)
    return randomize(keras.Model(image, x, name=f"{HOSTILE}net"))


def test_reduction(model: Any) -> None:
    reduction = kito.reduce(model)
    parts = parse(reduction._repr_html_())
    assert parts.caption == f"Reduction of '{HOSTILE}net'"
    assert parts.rows[:2] == [["", "before", "after"], ["layers", "6", "5"]]
    assert parts.notes[0].startswith(
        f"fold_affine: BatchNormalization -> Conv2D before it: 1 layer ({HOSTILE}); saves 2 "
    )
    assert any(x.startswith(f"kept: {HOSTILE}late: ") for x in parts.notes)
    assert "img" not in parts.tags


def test_reduction_without_the_extra_that_draws(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduction = kito.reduce(model)
    assert "<svg" in reduction._repr_html_()
    monkeypatch.setattr("kito.rewrite.reduction.is_installed", lambda: False)
    parts = parse(reduction._repr_html_())
    assert "svg" not in parts.tags
    assert parts.caption


def test_comparison(model: Any) -> None:
    same = parse(kito.compare(model, model, samples=4)._repr_html_())
    assert same.caption == "Comparison: the outputs are the same"
    assert same.rows[1][:2] == [f"{HOSTILE}out", "0"]
    assert same.notes == ["1 output of 4 samples is the same, within tolerance"]
    other = keras.models.clone_model(model)
    differs = parse(kito.compare(model, other, samples=4)._repr_html_())
    assert differs.caption == "Comparison: the outputs differ"
    assert HOSTILE in differs.notes[0]
    assert "img" not in {*same.tags, *differs.tags}


def test_comparison_that_could_not_have_failed() -> None:
    x = keras.Input((3,))
    flat = keras.Model(x, L.Dense(2, kernel_initializer="zeros")(x))
    assert parse(kito.compare(flat, flat)._repr_html_()).caption == "Comparison: not passed"


def test_speedup() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    estimate = kito.measure_speedup(model, model, batch_size=2, minimum=1000.0, budget_s=0.2)
    estimate = replace(estimate, warnings=(HOSTILE,))
    parts = parse(estimate._repr_html_())
    assert parts.caption.startswith(f"Speed-up: {estimate.ratio:.3f}x, 95% interval [")
    assert [row[0] for row in parts.rows] == ["", "original", "reduced"]
    assert parts.rows[1][1] == f"{estimate.original_ms[0]:.3f} ms"
    assert parts.notes[0].startswith(f"{estimate.pairs} pairs at batch 2 on '")
    assert parts.notes[1:] == [f"{estimate.verdict}: {estimate.explanation}", HOSTILE]
