"""LayerNormalization, which TensorFlow calculates by some twelve operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kito.export.onnx_graph.view import GraphView, by_axis

_OPSET = 17
"""The first that has LayerNormalization."""
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Orders of axes that bring the channels of images to the end, and back."""


@dataclass(frozen=True)
class _Scale:
    """``gamma / sqrt(variance + epsilon)`` of the mean and variance of ``x``."""

    x: str
    mean: str
    axis: int
    epsilon: float
    gamma: np.ndarray | None


def layer_normalization(view: GraphView, node: Any) -> bool:
    """``x * s + (beta - mean * s)`` with ``s = gamma / sqrt(variance + epsilon)``, in one operator.

    Over the channels of images that lie channels first, between two transposes: what follows such a
    normalization is a product with a matrix, which has its channels last.
    """
    if node.op_type != "Add":
        return False
    for scaled, offset in view.operands(node):
        product = view.producer(scaled, "Mul")
        if product is None:
            continue
        for x, factor in view.operands(product):
            scale, shape = _scale(view, factor, x), view.shape(x)
            if scale is None or shape is None or shape[scale.axis] is None:
                continue
            beta = _shift(view, offset, factor, scale)
            if beta is None:
                continue
            size = int(shape[scale.axis] or 0)
            last = scale.axis in (-1, len(shape) - 1)
            gamma = np.ones(1, np.float32) if scale.gamma is None else scale.gamma
            vectors = [by_axis(v, scale.axis, len(shape), size) for v in (gamma, beta)]
            if any(v is None for v in vectors) or not (last or (scale.axis, len(shape)) == (1, 4)):
                continue
            if not view.raise_opset(_OPSET):
                return False
            constants = [view.add_constant(v) for v in vectors if v is not None]
            attributes = {"axis": -1, "epsilon": scale.epsilon}
            if last:
                view.become(node, "LayerNormalization", [x, *constants], **attributes)
            else:
                turned = tuple(shape[i] for i in _TO_LAST)
                source = view.add_node("Transpose", [x], turned, perm=list(_TO_LAST))
                inputs = [source, *constants]
                inner = view.add_node("LayerNormalization", inputs, turned, **attributes)
                view.become(node, "Transpose", [inner], perm=list(_TO_FIRST))
            return True
    return False


def _scale(view: GraphView, name: str, x: str) -> _Scale | None:
    """What a factor of ``x`` is calculated from, if it is such a scale of ``x`` itself."""
    product, gamma = view.producer(name, "Mul"), None
    if product is not None:
        for inverse, constant in view.operands(product):
            if view.constant(constant) is not None:
                name, gamma = inverse, view.constant(constant)
    inverse_root = view.producer(name, "Reciprocal")
    root = None if inverse_root is None else view.producer(inverse_root.input[0], "Sqrt")
    total = None if root is None else view.producer(root.input[0], "Add")
    if total is None:
        return None
    for spread, addend in view.operands(total):
        epsilon, variance = view.scalar(addend), view.producer(spread, "ReduceMean")
        square = None if variance is None else view.producer(variance.input[0], "Mul")
        if epsilon is None or square is None or square.input[0] != square.input[1]:
            continue
        difference = view.producer(square.input[0], "Sub")
        if difference is None or difference.input[0] != x:
            continue
        mean = view.producer(difference.input[1], "ReduceMean")
        axes = [_axes(view, reduced) for reduced in (mean, variance)]
        if mean is None or mean.input[0] != x or axes[0] is None or axes[0] != axes[1]:
            continue
        return _Scale(x, difference.input[1], axes[0], epsilon, gamma)
    return None


def _shift(view: GraphView, name: str, factor: str, scale: _Scale) -> np.ndarray | None:
    """Beta, where a tensor is ``beta - mean * scale``; zeros where there is none."""
    beta = np.zeros(1, np.float32)
    total = view.producer(name, "Add")
    if total is not None:
        for rest, constant in view.operands(total):
            value = view.constant(constant)
            if value is not None:
                name, beta = rest, value
    product = view.producer(name, "Mul")
    if product is None:
        return None
    for negative, other in view.operands(product):
        negation = view.producer(negative, "Neg")
        if negation is not None and negation.input[0] == scale.mean and other == factor:
            return beta
    return None


def _axes(view: GraphView, node: Any) -> int | None:
    """The one axis, not negative, that a mean is taken over and that it keeps; else None."""
    if node is None or len(node.input) != 1:
        return None
    attributes = {x.name: x for x in node.attribute}
    shape = view.shape(node.input[0])
    if "keepdims" in attributes and attributes["keepdims"].i != 1:
        return None
    axes = list(attributes["axes"].ints) if "axes" in attributes else []
    return None if shape is None or len(axes) != 1 else int(axes[0]) % len(shape)
