"""What calls cost: each figure against its formula."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from kito_models import randomize

from kito.graph.read import read_graph
from kito.rewrite.cost import Cost, take_census

L = keras.layers


def cost_of(layer: Any, shape: tuple[int | None, ...]) -> tuple[int, int | None, int]:
    x = keras.Input(shape)
    model = randomize(keras.Model(x, layer(x)))
    cost = take_census(read_graph(model))[layer.name].cost
    return cost.operations, cost.multiplications, cost.parameters


@pytest.mark.parametrize(
    "layer, shape, expected",
    [
        (L.Conv2D(5, 3), (8, 9, 4), (1, 6 * 7 * 3 * 3 * 4 * 5, 185)),
        (L.Conv2D(4, 3, groups=2, use_bias=False), (8, 8, 4), (0, 36 * 9 * 2 * 4, 72)),
        (L.Conv1D(5, 3, activation="relu"), (8, 4), (2, 6 * 3 * 4 * 5, 65)),
        (L.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 4), (1, 36 * 9 * 8, 80)),
        (L.SeparableConv2D(6, 3), (8, 8, 4), (1, 36 * (9 * 4 + 4 * 6), 66)),
        (L.Conv2DTranspose(5, 3, strides=2), (4, 4, 2), (1, 16 * 9 * 2 * 5, 95)),
        (L.Dense(5), (7, 3), (1, 7 * 3 * 5, 20)),
        (L.EinsumDense("abc,cde->abde", (7, 4, 5)), (7, 3), (0, 7 * 3 * 4 * 5, 60)),
        (L.TimeDistributed(L.Dense(5)), (7, 3), (1, 7 * 3 * 5, 20)),
        (L.BatchNormalization(), (7, 3), (2, 21, 12)),
        (L.Rescaling(2.0, 1.0), (7, 3), (2, 21, 0)),
        (L.Rescaling(1.0, 1.0), (7, 3), (1, 0, 0)),
        (L.LayerNormalization(), (7, 3), (3, 0, 6)),
        (L.ReLU(), (7, 3), (1, 0, 0)),
        (L.ZeroPadding1D(1), (7, 3), (1, 0, 0)),
        (L.Flatten(), (7, 3), (0, 0, 0)),
        (L.Dropout(0.5), (7, 3), (0, 0, 0)),
        (L.Conv2D(5, 3), (None, 9, 4), (1, None, 185)),
    ],
    ids=lambda x: x.name if isinstance(x, keras.Layer) else "",
)
def test_of_one_call(
    layer: Any, shape: tuple[int | None, ...], expected: tuple[int, int | None, int]
) -> None:
    assert cost_of(layer, shape) == expected


def test_channels_first_is_counted_alike() -> None:
    layer = L.Conv2D(5, 3, data_format="channels_first")
    assert cost_of(layer, (4, 8, 9))[1] == 6 * 7 * 3 * 3 * 4 * 5


def test_of_sums_and_repeated_calls() -> None:
    a, b, c = (keras.Input((4,)) for _ in range(3))
    dense = L.Dense(4, name="twice")
    total = L.Add(name="sum")([dense(a), dense(b), c])
    model = keras.Model([a, b, c], L.Multiply(name="product")([total, a]))
    census = take_census(read_graph(model))
    assert census["twice"].cost == Cost(2, 20, {(): 32})
    assert (census["sum"].cost.operations, census["product"].cost.operations) == (2, 1)
    assert census["twice"].place < census["sum"].place < census["product"].place
    assert census["sum"].kind == "Add"


def test_of_a_kernel_whose_result_has_no_channels() -> None:
    class Score(keras.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 1), name="kernel")

        def call(self, x: Any) -> Any:
            return keras.ops.sum(x @ self.kernel, axis=(1,))

    assert cost_of(Score(name="score"), (4,)) == (0, 4, 4)


def test_models_nested_in_many_levels_are_counted_at_once() -> None:
    x = keras.Input((1,))
    model = keras.Model(x, L.Dense(1, name="inmost")(x))
    for _ in range(40):
        x = keras.Input((1,))
        model = keras.Model(x, model(model(x)))
    assert take_census(read_graph(model))["inmost"].cost == Cost(2**40, 2, {(): 2**40})
