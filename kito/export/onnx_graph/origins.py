"""What an exporter writes of where a graph came from, which is of no use to those who run it."""

from __future__ import annotations

from typing import Any


def forget_origins(graph: Any) -> None:
    """Remove, in place, the lines of source code and the paths that PyTorch's exporter notes.

    The batch, the first size of each input and output, is named ``batch``.
    """
    for item in (graph, *graph.node, *graph.initializer, *graph.value_info):
        _clear(item)
    for value in (*graph.input, *graph.output):
        _clear(value)
        sizes = value.type.tensor_type.shape.dim
        if sizes and sizes[0].dim_param:
            sizes[0].dim_param = "batch"


def _clear(item: Any) -> None:
    item.ClearField("metadata_props")
    item.ClearField("doc_string")
