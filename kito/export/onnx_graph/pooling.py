"""Paddings before a pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from kito.export.onnx_graph.view import GraphView

_NOT_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid")
_IMAGES = 4


def padded_max_pool(view: GraphView, node: Any) -> bool:
    """Zeros around what is never negative, then a maximum: the pooling pads by itself.

    It pads with minus infinity. Each window holds an element that is not padding, because a pad is
    smaller than the window; that element is at least 0, so the maximum is the same.
    """
    if node.op_type != "MaxPool" or len(node.output) != 1:
        return False
    pad = view.producer(node.input[0], "Pad")
    if pad is None or not view.only_use(node.input[0]):
        return False
    attributes = {x.name: x for x in node.attribute}
    own = [int(x) for x in attributes["pads"].ints] if "pads" in attributes else []
    if any(own) or attributes.keys() - {"kernel_shape", "strides", "pads", "auto_pad", "dilations"}:
        return False
    if "auto_pad" in attributes and attributes["auto_pad"].s not in (b"NOTSET", b"VALID"):
        return False
    if any(x != 1 for x in attributes["dilations"].ints) if "dilations" in attributes else False:
        return False
    window = [int(x) for x in attributes["kernel_shape"].ints]
    pads = _zero_pads(view, pad)
    if pads is None or any(p >= k for p, k in zip(pads, [*window, *window], strict=True)):
        return False
    if view.producer(pad.input[0], *_NOT_NEGATIVE) is None:
        return False
    strides = list(attributes["strides"].ints) if "strides" in attributes else [1] * len(window)
    view.become(node, "MaxPool", [pad.input[0]], kernel_shape=window, strides=strides, pads=pads)
    return True


def _zero_pads(view: GraphView, pad: Any) -> list[int] | None:
    """How many zeros it puts before and after each axis of an image; None for anything else."""
    if any(x.name != "mode" or x.s != b"constant" for x in pad.attribute):
        return None
    if any(view.scalar(name) != 0 for name in pad.input[2:3] if name) or any(pad.input[3:]):
        return None
    sizes = view.constant(pad.input[1]) if len(pad.input) > 1 else None
    if sizes is None or sizes.size != 2 * _IMAGES or (np.asarray(sizes) < 0).any():
        return None
    before, after = sizes.reshape(2, _IMAGES).astype(int)
    if before[:2].any() or after[:2].any():
        return None
    return [*map(int, before[2:]), *map(int, after[2:])]
