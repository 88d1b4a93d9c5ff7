"""Check on random inputs that the calls inside a layer compute what the layer computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kito.errors import describe
from kito.graph.interpret import Interpreter
from kito.graph.ir import Graph, Node, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.preserve import preserved
from kito.graph.random_call import OPEN_SIZES, draw_inputs, find_difference
from kito.graph.stock import is_stock

Samples = dict[Node, tuple[list[Any], list[Any]]]
"""By call, the tensors that it was run on, and the tensors that it returned."""


def check_same_outputs(node: Node, inside: Graph, samples: Samples) -> str | None:
    """Run a call as a whole, then the calls inside it; returns what differs, or None.

    No layer is run as a whole more than once: running the inside of a layer also runs the layers in
    it, and what those returned is recorded in ``samples``.

    Args:
        node: a call of a layer that contains layers.
        inside: what the layer computes; the ops in it call the layer's own layers.
        samples: of the calls that were run before. The entry of ``node`` is used and removed;
            those of the calls in ``inside`` are added.
    """
    layer = node.op.layer
    given, returned = samples.pop(node, ([], []))
    if given and len(given) == len(inside.inputs):
        return _compare(inside, given, returned, samples)
    rng = np.random.default_rng(0)
    problem = ""
    for size in OPEN_SIZES:
        values = draw_inputs(node.inputs, size, rng)
        if values is None:
            dtypes = [x.dtype for x in dict.fromkeys(node.inputs)]
            return f"no random inputs of dtype {dtypes} can show what it does"
        try:
            with preserved([layer, *all_layers(layer)]):
                returned = Interpreter(node.graph).run_node(node, values)
        except Exception as error:  # whatever a layer or the backend may raise
            problem = f"it cannot be run on random inputs: {describe(error)}"
            continue
        return _compare(inside, list(values.values()), returned, samples)
    return problem


def _compare(inside: Graph, given: list[Any], expected: list[Any], samples: Samples) -> str | None:
    try:
        actual = _Recorder(inside, samples).run(given)
    except Exception as error:  # whatever a layer or the backend may raise
        return f"its inside cannot be run by itself: {describe(error)}"
    return find_difference(expected, actual, "its inside")


class _Recorder(Interpreter):
    """Records what custom layers take and return."""

    def __init__(self, graph: Graph, samples: Samples) -> None:
        super().__init__(graph, enter_models=False)
        self.samples = samples

    def run_node(self, node: Node, values: Mapping[Tensor, Any]) -> list[Any]:
        results = super().run_node(node, values)
        if not is_stock(type(node.op.layer)):
            given = [values[x] for x in dict.fromkeys(node.inputs)]
            self.samples[node] = (given, results)
        return results
