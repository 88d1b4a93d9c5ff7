"""All rewrites of an exported ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kito.export.onnx_graph.activations import gelu, hard_sigmoid
from kito.export.onnx_graph.affines import batch_normalization
from kito.export.onnx_graph.pooling import padded_max_pool
from kito.export.onnx_graph.shapes import redundant_reshape
from kito.export.onnx_graph.view import GraphView

Rewrite = Callable[[GraphView, Any], bool]
"""Changes a node if it and what computes its inputs match; returns whether they did."""

REWRITES: tuple[Rewrite, ...] = (
    redundant_reshape,
    hard_sigmoid,
    gelu,
    batch_normalization,
    padded_max_pool,
)


def rewrite_graph(model: Any) -> int:
    """Rewrite a ``ModelProto`` in place; what nothing needs any more stays until it is named anew.

    Returns:
        How many rewrites were made.
    """
    view = GraphView(model)
    return sum(change(view, node) for change in REWRITES for node in view.nodes())
