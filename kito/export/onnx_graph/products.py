"""Products with a matrix, as ``Dense`` makes them of inputs with more than two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kito.export.onnx_graph.view import GraphView

_MATRIX = 2


def dense_product(view: GraphView, node: Any) -> bool:
    """``reshape(reshape(x, (-1, k)) @ kernel, (.., n))`` is ``x @ kernel``: MatMul takes any rank.

    TensorFlow's ``tensordot`` reshapes; the exported graph calculates both shapes at each call.
    """
    if node.op_type != "Reshape":
        return False
    product = view.producer(node.input[0], "MatMul")
    if product is None or not view.only_use(node.input[0]):
        return False
    kernel, flat = view.constant(product.input[1]), view.producer(product.input[0], "Reshape")
    if kernel is None or kernel.ndim != _MATRIX or flat is None:
        return False
    x = flat.input[0]
    shape, rows = view.shape(x), view.shape(flat.input[1])
    # A matrix whose rows are as long as x's last axis is x with its other axes flattened.
    if shape is None or shape[-1] != kernel.shape[0] or rows != (_MATRIX,):
        return False
    if not _is_shape_of(view, node.input[1], x, kernel.shape[1]):
        return False
    view.become(node, "MatMul", [x, product.input[1]])
    return True


def _is_shape_of(view: GraphView, name: str, x: str, last: int) -> bool:
    """Whether a tensor is the shape of ``x`` with another last size, however it is calculated."""
    shape = view.shape(x)
    assert shape is not None
    value = view.constant(name)
    if value is not None:
        known = [*shape[1:-1], last]
        return value[0] == -1 and list(value[1:]) == known and None not in known
    joined = view.producer(_uncast(view, name), "Concat")
    if joined is None or len(joined.input) != 2:
        return False
    end = view.constant(joined.input[1])
    if end is None or end.tolist() != [last]:
        return False
    measured = _sizes(view, joined.input[0])
    if measured is None:
        return False
    source, axes = measured
    order = list(range(len(shape)))
    if source != x:
        turned = view.producer(x, "Transpose")
        if turned is None or turned.input[0] != source or not turned.attribute:
            return False
        order = list(turned.attribute[0].ints)
    return axes == order[:-1]


def _sizes(view: GraphView, name: str) -> tuple[str, list[int]] | None:
    """A tensor and those of its axes whose sizes ``name`` holds, in that order."""
    name = _uncast(view, name)
    measured, gathered = view.producer(name, "Shape"), view.producer(name, "Gather")
    if measured is not None and not measured.attribute:
        shape = view.shape(measured.input[0])
        return None if shape is None else (measured.input[0], list(range(len(shape))))
    if gathered is None or any(x.i != 0 for x in gathered.attribute):
        return None
    inner, indices = _sizes(view, gathered.input[0]), view.constant(gathered.input[1])
    if inner is None or indices is None or indices.ndim != 1 or (np.asarray(indices) < 0).any():
        return None
    return inner[0], [inner[1][i] for i in indices.tolist()]


def _uncast(view: GraphView, name: str) -> str:
    cast = view.producer(name, "Cast")
    return name if cast is None else _uncast(view, str(cast.input[0]))
