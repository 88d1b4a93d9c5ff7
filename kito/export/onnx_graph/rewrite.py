"""All rewrites of an exported ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kito.export.onnx_graph.activations import gelu, hard_sigmoid
from kito.export.onnx_graph.affines import batch_normalization
from kito.export.onnx_graph.normalization import layer_normalization
from kito.export.onnx_graph.pooling import padded_max_pool
from kito.export.onnx_graph.products import dense_product
from kito.export.onnx_graph.shapes import redundant_reshape, redundant_transpose
from kito.export.onnx_graph.view import GraphView

Rewrite = Callable[[GraphView, Any], bool]
"""Changes a node if it and what computes its inputs match; returns whether they did."""

REWRITES: tuple[tuple[Rewrite, ...], ...] = (
    # Where a product takes any rank, more shapes are known before the graph runs.
    (redundant_reshape, dense_product),
    (
        hard_sigmoid,
        gelu,
        layer_normalization,
        batch_normalization,
        padded_max_pool,
        redundant_reshape,
        redundant_transpose,
    ),
)
"""In the order in which they are made; each group knows the shapes that the groups before leave."""


def rewrite_graph(model: Any) -> int:
    """Rewrite a ``ModelProto`` in place; what nothing needs any more stays until it is named anew.

    Returns:
        How many rewrites were made.
    """
    total = 0
    for group in REWRITES:
        view = GraphView(model)
        total += sum(change(view, node) for change in group for node in view.nodes())
    return total
