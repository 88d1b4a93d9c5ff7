"""A scale and a shift for each channel, which no convolution could absorb."""

from __future__ import annotations

from typing import Any

import numpy as np

from kito.export.onnx_graph.view import GraphView, by_axis

_IMAGES = 4
"""Axes of a batch of images: (samples, channels, height, width)."""


def batch_normalization(view: GraphView, node: Any) -> bool:
    """``x * scale + shift`` by channel is one BatchNormalization, with mean 0 and variance 1.

    ONNX Runtime runs it in the layout of the convolutions around it, with the ReLU that follows,
    where it converts the layout twice for the sum.
    """
    if node.op_type != "Add":
        return False
    for variable, addend in view.operands(node):
        product = view.producer(variable, "Mul")
        if product is None or not view.only_use(variable):
            continue
        for x, factor in view.operands(product):
            shape = view.shape(x)
            if shape is None or len(shape) != _IMAGES or shape[1] is None:
                continue
            values = [view.constant(name) for name in (factor, addend)]
            if values[0] is None or values[1] is None or values[0].size == 1:
                continue
            scale, shift = (by_axis(v, 1, _IMAGES, shape[1]) for v in values if v is not None)
            if scale is None or shift is None:
                continue
            ones, zeros = np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)
            constants = [view.add_constant(value) for value in (scale, shift, zeros, ones)]
            view.become(node, "BatchNormalization", [x, *constants], epsilon=0.0)
            return True
    return False
