"""Shapes of tensors, measured in a run of the model."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers, ops
from kito_models import assert_same, randomize

import kito
from kito.graph.measure import measure_shapes
from kito.graph.read import read_graph


class Frames(layers.Layer):
    """Takes frames that are counted with the samples, four of each."""

    def call(self, x: Any) -> Any:
        return ops.mean(ops.reshape(x, (-1, 4, x.shape[-1])), axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (None, input_shape[-1])


def video() -> Any:
    x = keras.Input((4, None, 3))
    y = ops.reshape(layers.Dense(5)(x), (-1, 2, 5))
    return randomize(keras.Model(x, Frames(name="frames")(ops.max(y, axis=1))))


def test_each_tensor_is_measured() -> None:
    graph = read_graph(video())
    assert measure_shapes(graph)
    shapes = [x.measured for node in graph.nodes for x in node.outputs]
    assert shapes == [(2, 4, 64, 3), (2, 4, 64, 5), (256, 2, 5), (256, 5), (64, 5)]


@pytest.mark.backends("tensorflow")  # only it has strings
def test_a_model_of_strings_is_not_measured() -> None:
    x = keras.Input((1,), dtype="string")
    assert not measure_shapes(read_graph(keras.Model(x, layers.StringLookup(vocabulary=["a"])(x))))


def test_a_custom_layer_is_copied_that_only_fitting_sizes_can_run() -> None:
    model = video()
    reduction = kito.reduce(model)
    assert reduction.shared == ()
    assert_same(model, reduction.model)
