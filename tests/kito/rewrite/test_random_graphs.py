"""Random models, reduced: the outputs stay, and so does the original."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from kito_models import exact_outputs, feed, outputs
from random_graphs import RELAXED, SHAPE, Block, Composite, Plan, Whole, blocks, build, plans, weigh

import kito
from kito.graph.functional import as_functional
from kito.graph.keras_internals import all_layers, output_names
from kito.rewrite.inline.composites import holds_affine
from kito.rewrite.passes.choose_kernels import resizing

L = keras.layers


def check(model: Any) -> None:
    before = [np.array(w) for w in model.get_weights()]
    reduction = kito.reduce(model, target="cpu")

    # What was there is folded, or kept with a reason.
    kept = {kept.layer for kept in reduction.kept}
    norms = {x.name for x in all_layers(model) if isinstance(x, L.BatchNormalization)}
    after = all_layers(reduction.model)
    left = {x.name for x in after if isinstance(x, L.BatchNormalization)}
    # The name of an opened layer comes before that of one in it.
    scaled = {x.name for x in after if isinstance(x, L.Rescaling)}
    held = {x for x in scaled if x.split("-")[-1] in norms}
    assert left | held <= kept
    assert (len(left), len(held)) == (reduction.batchnorms[1], reduction.precomputed)
    assert not [x for x in after if isinstance(x, Composite)]
    assert output_names(reduction.model) == output_names(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))

    arrays = feed(model)
    truth = exact_outputs(model, arrays)
    original, reduced = outputs(model, arrays), outputs(reduction.model, arrays)
    assert_close(truth, original, reduced)


def check_whole(block: Block) -> None:
    """A subclassed model."""
    model = Whole(block)
    arrays = [np.random.default_rng(3).normal(size=(3, *SHAPE)).astype("float32")]
    model(arrays[0])
    weigh(model, 5)
    before = [np.array(w) for w in model.get_weights()]
    reduction = kito.reduce(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    closed = [x for x in all_layers(reduction.model) if isinstance(x, Composite)]
    assert not [x for x in closed if holds_affine(x)]
    view = as_functional(model)
    truth = exact_outputs(view, arrays)
    assert_close(truth, outputs(view, arrays), outputs(reduction.model, arrays))


def assert_close(
    truth: list[np.ndarray], original: list[np.ndarray], reduced: list[np.ndarray]
) -> None:
    """The reduced model is as close to the truth as rounding lets one expect."""
    for exact, a, b in zip(truth, original, reduced, strict=True):
        scale = np.abs(exact).max()
        # 2e-5 of the scale, and where float32 itself is further off, a few times that.
        allowed = max(2e-5 * scale, 3 * np.abs(a - exact).max())
        assert np.abs(b - exact).max() <= allowed


def by_day(count: int) -> int:
    """``count``, or what a profile with more than usual says."""
    usual = settings.get_profile("default").max_examples
    asked = settings().max_examples
    return asked if asked > usual else count


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Tensors of any size are large enough for another kernel."""
    with mock.patch.object(resizing, "_LEAST_ELEMENTS", 0):
        yield


@settings(max_examples=20, **RELAXED)
@given(plans())
def test_random_graphs(plan: Plan) -> None:
    check(build(plan))


@pytest.mark.slow
@settings(max_examples=by_day(45), **RELAXED)
@given(plans())
def test_many_random_graphs(plan: Plan) -> None:
    check(build(plan))


@settings(max_examples=6, **RELAXED)
@given(blocks())
def test_random_subclassed_models(block: Block) -> None:
    check_whole(block)


@pytest.mark.slow
@settings(max_examples=by_day(15), **RELAXED)
@given(blocks())
def test_many_random_subclassed_models(block: Block) -> None:
    check_whole(block)
