"""Activations that Keras exports as several operators, each a pass over the whole tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from kito.export.onnx_graph.view import GraphView

_HALF = 0.5
_SQRT_HALF = float(np.float32(np.sqrt(0.5)))


def hard_sigmoid(view: GraphView, node: Any) -> bool:
    """``clip(x + c, 0, h) * s`` with ``h * s = 1`` is ``HardSigmoid(alpha=s, beta=c * s)``.

    That is ``keras.activations.hard_sigmoid``, and the larger part of ``hard_swish``: with the
    product that follows, ONNX Runtime makes it a part of the convolution before it.
    """
    if node.op_type != "Mul":
        return False
    for variable, factor in view.operands(node):
        scale, clip = view.scalar(factor), view.producer(variable, "Clip")
        if scale is None or clip is None or not view.only_use(variable):
            continue
        limits = [view.scalar(x) for x in clip.input[1:]]
        total = view.producer(clip.input[0], "Add")
        if len(limits) != 2 or limits[0] != 0 or limits[1] is None or total is None:
            continue
        if np.float32(limits[1]) * np.float32(scale) != 1 or not view.only_use(clip.input[0]):
            continue
        for x, addend in view.operands(total):
            shift = view.scalar(addend)
            if shift is not None and _keeps_shape(view, x, addend):
                view.become(node, "HardSigmoid", [x], alpha=scale, beta=shift * scale)
                return True
    return False


def _keeps_shape(view: GraphView, x: str, scalar: str) -> bool:
    """Whether a constant of one element has no more axes than what it is added to."""
    shape, own = view.shape(x), view.shape(scalar)
    return shape is not None and own is not None and len(own) <= len(shape)


def gelu(view: GraphView, node: Any) -> bool:
    """``(0.5 * x) * (1 - erf(-x * sqrt(0.5)))`` in the form that engines make one operator of.

    That is ``0.5 * (x * (1 + erf(x / sqrt(2))))``: erf is odd. TensorFlow calculates it by erfc.
    """
    if node.op_type != "Mul":
        return False
    for first, second in view.operands(node):
        half, one_minus = view.producer(first, "Mul"), view.producer(second, "Sub")
        if half is None or one_minus is None or view.scalar(one_minus.input[0]) != 1:
            continue
        x = next((x for x, c in view.operands(half) if view.scalar(c) == _HALF), None)
        erf = view.producer(one_minus.input[1], "Erf")
        scaled = None if erf is None else view.producer(erf.input[0], "Mul")
        if x is None or scaled is None:
            continue
        for negative, factor in view.operands(scaled):
            negation, scale = view.producer(negative, "Neg"), view.scalar(factor)
            if negation is None or negation.input[0] != x or scale != _SQRT_HALF:
                continue
            shape = view.shape(x)
            if shape is None or any(len(view.shape(c) or ()) > len(shape) for c in half.input):
                continue
            root, one, halved = (
                view.add_constant(np.asarray(value, np.float32)) for value in (np.sqrt(2), 1, _HALF)
            )
            argument = view.add_node("Div", [x, root], shape)
            value = view.add_node("Erf", [argument], shape)
            gate = view.add_node("Add", [value, one], shape)
            view.become(node, "Mul", [view.add_node("Mul", [x, gate], shape), halved])
            return True
    return False
