"""Measure the shapes of a model's tensors in a run on random samples.

A layer that takes several tensors of open sizes, such as the levels of a feature pyramid, can only
be run on tensors whose sizes fit together. Those come from a run of the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.graph.interpret import Interpreter
from kito.graph.ir import Graph, Node, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.preserve import restored
from kito.graph.random_call import draw_inputs
from kito.graph.stock import is_stock

_SIZES = (64, 128, 256, 32, 16, 8)
"""Sizes to try for open sizes of the model's inputs; a model of texts may take few tokens only."""


def measure_shapes(graph: Graph) -> bool:
    """Set ``measured`` of every tensor of ``graph`` and of the graphs in it.

    Args:
        graph: the outermost graph of a model; its ops hold live layers, which are left unchanged.

    Returns:
        Whether the model could be run on random samples.
    """
    inputs = [x for x in tree.flatten(graph.inputs) if isinstance(x, Tensor)]
    for size in _SIZES:
        values = draw_inputs(inputs, size, np.random.default_rng(0))
        if values is None:
            return False
        measuring = _Measuring(graph)
        try:
            measuring.run([values[x] for x in inputs])
        except Exception:  # whatever a layer or the backend may raise
            continue
        for tensor, shape in [*measuring.shapes, *((x, v.shape) for x, v in values.items())]:
            tensor.measured = tuple(int(n) for n in shape)
        return True
    return False


class _Measuring(Interpreter):
    """Records the shape of each tensor."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.shapes: list[tuple[Tensor, Any]] = []

    def run_node(self, node: Node, values: Mapping[Tensor, Any]) -> list[Any]:
        layer = node.op.layer
        if isinstance(layer, keras.Layer) and not is_stock(type(layer)):
            with restored([layer, *all_layers(layer)]):
                results = super().run_node(node, values)
        else:
            results = super().run_node(node, values)
        self.shapes += [(x, v.shape) for x, v in values.items()]
        self.shapes += [(x, v.shape) for x, v in zip(node.outputs, results, strict=True)]
        return results
