"""A graph that is run call by call computes what the model computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import feed, outputs, randomize

from kito.graph.interpret import Interpreter, calls, is_entered
from kito.graph.ir import Node, Tensor
from kito.graph.read import read_graph
from kito.runtime.run import to_numpy

L = keras.layers


class Recorder(Interpreter):
    """Records the layers that it runs, in order."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.names: list[str] = []

    def run_node(self, node: Node, values: Mapping[Tensor, Any]) -> list[Any]:
        self.names.append(node.op.name)
        return super().run_node(node, values)


def nested() -> Any:
    """A nested model that is called twice; one output is an input."""
    inner = keras.Input((4,), name="inner")
    block = keras.Model(
        inner, L.Dropout(0.5, name="drop")(L.Dense(4, name="deep")(inner)), name="block"
    )
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    total = L.Add(name="sum")([block(a), block(b)])
    return randomize(keras.Model([a, b], {"total": total, "same": b}))


@pytest.mark.parametrize(
    "enter_models, names",
    [(True, ["deep", "drop", "deep", "drop", "sum"]), (False, ["block", "block", "sum"])],
)
def test_nested_models_are_run_inside_or_as_one_call(enter_models: bool, names: list[str]) -> None:
    model = nested()
    arrays = feed(model)
    interpreter = Recorder(read_graph(model), enter_models)
    for _ in range(2):  # it can be run again
        actual = interpreter.run(arrays)
        for a, b in zip(actual, outputs(model, arrays), strict=True):
            assert np.array_equal(to_numpy(a).astype("float64"), b)
    assert interpreter.names == names * 2


def test_results_are_numbered_and_name_their_parents() -> None:
    graph = read_graph(nested())
    walked = [(x.number, x.layer, x.parents) for x in Interpreter(graph).walk(feed(graph.model))]
    assert walked == [
        (0, "a", ()),
        (1, "b", ()),
        (2, "block/deep", (0,)),
        (3, "block/drop", (2,)),
        (4, "block/deep", (1,)),
        (5, "block/drop", (4,)),
        (6, "sum", (3, 5)),
    ]
    run = [path for path, node in calls(graph) if not is_entered(node)]
    assert sorted(run) == sorted(layer for _, layer, _ in walked)
