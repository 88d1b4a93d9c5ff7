"""Check on random inputs that the calls inside a layer compute what the layer computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kito.errors import summarize
from kito.graph.interpret import Interpreter
from kito.graph.ir import Graph, Node, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.measure import measure_shapes
from kito.graph.preserve import preserved
from kito.graph.random_call import OPEN_SIZES, draw_inputs, find_difference
from kito.graph.stock import is_stock
from kito.rewrite.inline.reasons import StaysClosed


class Samples:
    """What calls were run on, and what they returned.

    Args:
        graph: the outermost graph of the model.

    Attributes:
        runs: by call, (inputs, outputs), each a list of tensors.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.runs: dict[Node, tuple[list[Any], list[Any]]] = {}

    def run(self, node: Node) -> tuple[list[Any], list[Any]]:
        """Run a call of a layer on random inputs; returns (inputs, outputs).

        Raises:
            StaysClosed: it cannot be run on random inputs.
        """
        problem = ""
        for size in (*OPEN_SIZES, None):
            if size is None and not (_has_open_sizes(node) and measure_shapes(self.graph)):
                break
            values = draw_inputs(node.inputs, size or 0, np.random.default_rng(0))
            if values is None:
                dtypes = [x.dtype for x in dict.fromkeys(node.inputs)]
                raise StaysClosed(f"no random inputs of dtype {dtypes} can show what it does")
            try:
                with preserved([node.op.layer, *all_layers(node.op.layer)]):
                    return list(values.values()), Interpreter(node.graph).run_node(node, values)
            except Exception as error:  # whatever a layer or the backend may raise
                problem = f"it cannot be run on random inputs: {summarize(error)}"
        raise StaysClosed(problem)


def _has_open_sizes(node: Node) -> bool:
    return any(x.measured is None and None in x.shape for x in node.inputs)


def check_same_outputs(node: Node, inside: Graph, samples: Samples) -> None:
    """Run a call as a whole, then the calls inside it.

    No layer is run as a whole more than once: running the inside of a layer also runs the layers in
    it, and what those returned is recorded in ``samples``.

    Args:
        node: a call of a layer that contains layers.
        inside: what the layer computes; the ops in it call the layer's own layers.
        samples: of the calls that were run before. The entry of ``node`` is used and removed;
            those of the calls in ``inside`` are added.

    Raises:
        StaysClosed: they differ, or one of them cannot be run.
    """
    given, returned = samples.runs.pop(node, ([], []))
    if not given or len(given) != len(inside.inputs):
        given, returned = samples.run(node)
    try:
        actual = _Recorder(inside, samples).run(given)
    except Exception as error:  # whatever a layer or the backend may raise
        raise StaysClosed(f"its inside cannot be run by itself: {summarize(error)}") from error
    difference = find_difference(returned, actual, "its inside")
    if difference is not None:
        raise StaysClosed(difference)


class _Recorder(Interpreter):
    """Records what custom layers take and return."""

    def __init__(self, graph: Graph, samples: Samples) -> None:
        super().__init__(graph, enter_models=False)
        self.samples = samples

    def run_node(self, node: Node, values: Mapping[Tensor, Any]) -> list[Any]:
        results = super().run_node(node, values)
        if not is_stock(type(node.op.layer)):
            given = [values[x] for x in dict.fromkeys(node.inputs)]
            self.samples.runs[node] = (given, results)
        return results
