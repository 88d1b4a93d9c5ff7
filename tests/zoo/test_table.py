"""The networks of KITO's own table, reduced as KITO reduces them: the counts, and the outputs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import kito
from kito.calibration import randomize_weights
from kito.graph import copy_model
from kito.inputs import Inputs, batches, call_arguments, random_inputs
from zoo.networks import NETWORKS, Network

# Rounding errors differ much from sample to sample: for ResNet152 (right folds, ten weight sets)
# the ratio of the two models' was 0.64 to 1.78 over 6 samples, and 0.81 to 1.05 over 24.
SAMPLES = 24
BATCH = 8  # bounds the memory of the float64 runs

each_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)


@pytest.fixture(autouse=True)
def released_models() -> Iterator[None]:
    """The models of one test are gone (Keras' cycles of references too) before the next begins."""
    yield
    keras.backend.clear_session()
    gc.collect()


@each_network
def test_folds_as_in_the_table(network: Network) -> None:
    reduction = kito.reduce(network.build(network.size), passes=("fold_batchnorm",))

    before, after = reduction.batchnorms
    assert before - after == network.folded
    assert reduction.parameters == (network.parameters_before, network.parameters_after)


@each_network
def test_computes_the_same(network: Network) -> None:
    model = network.build(network.numeric_size)
    inputs = random_inputs(model, samples=SAMPLES, seed=1)
    randomize_weights(model, next(batches(inputs, BATCH)), seed=2)
    reduced = kito.reduce(model, passes=("fold_batchnorm",)).model

    expected, actual = _outputs(model, inputs), _outputs(reduced, inputs)
    truth = _outputs(copy_model(model, dtype="float64"), inputs)

    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() >= 0.05 * scale, (
        "such outputs could not show a wrong fold"
    )
    assert np.abs(actual - expected).max() <= 1e-3 * scale
    assert _rms(actual - truth) <= 1.5 * _rms(expected - truth)


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
