"""Whole networks: KITO's own table as KITO reduces it, and how far the default passes reach."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import kito
from kito.equivalence.float64 import copy_model
from kito.runtime.batch import Inputs, batches, call_arguments
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights
from zoo.networks import NETWORKS, OTHERS, PRECOMPUTED, Network, Reach

# Rounding errors differ much from sample to sample: for ResNet152 (right folds, ten weight sets)
# the ratio of the two models' was 0.64 to 1.78 over 6 samples, and 0.81 to 1.05 over 24.
SAMPLES = 24
SLOW = {
    "resnet50_v2": pytest.mark.nightly,  # resnet50_v2_positive has more to fold
    "resnet50_v2_positive": pytest.mark.slow,
    "efficientnet_b0": pytest.mark.nightly,  # efficientnet_v2_b0 has its layers
    "efficientnet_v2_b0": pytest.mark.slow,
    "mobilenet_v3_large": pytest.mark.nightly,  # mobilenet_v3_small has its layers
}
BATCH = 8  # bounds the memory of the float64 runs


def each_network(slow: set[str], nightly: Collection[str] = ()) -> pytest.MarkDecorator:
    """A test for each network; those that take ten seconds and more are in the slow set.

    At night, those that only have more of the same layers than another one.
    """

    def marks(name: str) -> list[pytest.MarkDecorator]:
        found = [pytest.mark.slow] if name in slow else []
        return [*found, pytest.mark.nightly] if name in nightly else found

    return pytest.mark.parametrize(
        "network", [pytest.param(x, marks=marks(x.name), id=x.name) for x in NETWORKS]
    )


@pytest.fixture(autouse=True)
def released_models() -> Iterator[None]:
    """The models of one test are gone (Keras' cycles of references too) before the next begins."""
    yield
    keras.backend.clear_session()
    gc.collect()


@each_network(
    {"nasnet_mobile"},
    nightly={
        *("densenet169", "densenet201", "inception_resnet_v2", "nasnet_large", "resnet152"),
        "deeplab_xception",
    },
)
def test_folds_as_in_the_table(network: Network) -> None:
    reduction = kito.reduce(network.build(network.size), passes=("fold_batchnorm",))

    before, after = reduction.batchnorms
    assert before - after == network.folded
    assert reduction.parameters == (network.parameters_before, network.parameters_after)


@each_network(
    {
        *("densenet121", "densenet169", "densenet201", "inception_resnet_v2", "inception_v3"),
        *("resnet50", "resnet152", "nasnet_large", "nasnet_mobile", "deeplab_xception"),
        *("zf_unet_224", "xception", "deeplab_mobile", "mobilenet"),
    },
    nightly={
        *("densenet169", "densenet201", "resnet152", "nasnet_large", "deeplab_xception"),
        *("densenet121", "inception_v3", "inception_resnet_v2"),
        *("mobilenet", "deeplab_mobile"),  # mobilenet_v2, which runs by day, has their layers
        "xception",  # tests/foreign has another one by day
        *("resnet50", "zf_unet_224"),  # the gate of this repository runs on them by day
    },
)
def test_computes_the_same(network: Network) -> None:
    model = network.build(network.numeric_size)
    inputs = random_inputs(model, samples=SAMPLES, seed=1)
    randomize_weights(model, next(batches(inputs, BATCH)), seed=2)
    folded = kito.reduce(model, passes=("fold_batchnorm",)).model
    reduction = kito.reduce(model)

    left = PRECOMPUTED.get(network.name, 0)
    assert (reduction.batchnorms[1], reduction.precomputed, len(reduction.kept)) == (0, left, left)
    check_outputs(model, [folded, reduction.model], inputs)


@pytest.mark.parametrize(
    "network", [pytest.param(x, marks=SLOW.get(x.name, ()), id=x.name) for x in OTHERS]
)
def test_reaches(network: Reach) -> None:
    model = network.build(128)
    inputs = random_inputs(model, samples=SAMPLES, seed=1, high=network.high)
    randomize_weights(model, next(batches(inputs, BATCH)), seed=2)
    if network.positive:
        make_gammas_positive(model, inputs)
    reduction = kito.reduce(model)

    assert reduction.batchnorms[1] == 0
    assert (reduction.precomputed, len(reduction.kept)) == (network.precomputed, network.kept)
    check_outputs(model, [reduction.model], inputs)


def make_gammas_positive(model: keras.Model, inputs: Inputs) -> None:
    """And leave the statistics of the network that it is then."""
    for norm in (x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)):
        norm.gamma.assign(np.abs(norm.gamma.numpy()))
        norm.momentum = 0.0
    model(call_arguments(model, next(batches(inputs, BATCH))), training=True)


def check_outputs(model: keras.Model, reduced: list[keras.Model], inputs: Inputs) -> None:
    """As close to the original, and to its float64 run, as rounding lets one expect."""
    expected = _outputs(model, inputs)
    truth = _outputs(copy_model(model, dtype="float64"), inputs)
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() >= 0.05 * scale, (
        "such outputs could not show a wrong fold"
    )
    for other in reduced:
        actual = _outputs(other, inputs)
        assert np.abs(actual - expected).max() <= 1e-3 * scale
        assert _rms(actual - truth) <= 1.5 * _rms(expected - truth)


# Its grouped convolutions take minutes in float64.
@pytest.mark.nightly
def test_convnext() -> None:
    model = keras.applications.ConvNeXtTiny(weights=None, input_shape=(64, 64, 3))
    inputs = random_inputs(model, samples=SAMPLES, seed=1, high=255.0)
    randomize_weights(model, next(batches(inputs, BATCH)), seed=2)
    reduction = kito.reduce(model)

    assert not {type(x).__name__ for x in reduction.model.layers} & {"LayerScale", "Dropout"}
    assert [kept.layer for kept in reduction.kept] == ["convnext_tiny_prestem_normalization"]
    check_outputs(model, [reduction.model], inputs)


@pytest.mark.parametrize("pool", ["average", "max"])
def test_twelve_active_convolutions_before_their_normalizations(pool: str) -> None:
    """Where KITO ended the program: ``Conv2D(activation="relu")`` before the normalization."""
    layers = keras.layers
    x = image = keras.Input((96, 96, 3))
    for block in range(12):
        x = layers.Conv2D(8 + block, 3, activation="relu")(x)
        x = layers.BatchNormalization()(x)
        if block % 4 == 1:
            x = (layers.AveragePooling2D if pool == "average" else layers.MaxPooling2D)(2)(x)
            x = layers.Dropout(0.2)(x)
    model = keras.Model(image, layers.Dense(10)(layers.Flatten()(x)))
    inputs = random_inputs(model, samples=SAMPLES, seed=1)
    randomize_weights(model, next(batches(inputs, BATCH)), seed=2)
    if pool == "max":  # of negated values it would be another
        make_gammas_positive(model, inputs)
    reduction = kito.reduce(model)

    assert reduction.batchnorms == (12, 0)
    assert not reduction.kept
    check_outputs(model, [reduction.model], inputs)


def test_zf_unet_has_the_layers_of_its_description() -> None:
    (network,) = (network for network in NETWORKS if network.name == "zf_unet_224")

    reduction = kito.reduce(network.build(network.size), passes=("fold_batchnorm",))

    assert (len(reduction.original.layers), len(reduction.model.layers)) == (85, 63)


def _outputs(model: keras.Model, inputs: Inputs) -> NDArray[np.float64]:
    """Of eager calls in inference: tracing a function would cost more than it saves."""
    outputs = [
        keras.ops.convert_to_numpy(model(call_arguments(model, batch), training=False))
        for batch in batches(inputs, BATCH)
    ]
    return np.concatenate(outputs).astype(np.float64)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
