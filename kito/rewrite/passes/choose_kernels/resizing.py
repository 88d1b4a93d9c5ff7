"""Up-sampling by whole factors as resizing.

Identity, with ``interpolation="nearest"`` and a whole factor ``f``: both take element
``floor(i / f)`` for the output ``i``. Resizing computes that as ``floor((i + 0.5) / f)`` in
float32, which is the same up to sizes far beyond those of images: ``(i + 0.5) / f`` stays
``1 / (2 f)`` away from every whole number.
"""

from __future__ import annotations

import math

from keras import layers

from kito.graph.ir import Node
from kito.rewrite.outcome import Rewrite

_LEAST_ELEMENTS = 2**18
"""Elements of the output for one sample; smaller outputs were measured as slower or equal."""
_LARGEST_SIZE = 2**14
"""Of an axis of the output; float32 rounds to the next element only far above it."""


def as_resizing(node: Node) -> Rewrite | None:
    """A Resizing of the same name for an UpSampling2D that is called once."""
    op, data, result = node.op, node.data, node.outputs[0]
    layer = op.layer
    if type(layer) is not layers.UpSampling2D or layer.interpolation != "nearest":
        return None
    if layer.data_format != "channels_last" or len(op.calls()) > 1 or data is None:
        return None
    if node.changes_mask or not data.dtype == result.dtype == layer.compute_dtype == "float32":
        return None
    _, height, width, channels = result.shape
    if height is None or width is None or channels is None or max(height, width) > _LARGEST_SIZE:
        return None
    if math.prod(layer.size) == 1 or height * width * channels < _LEAST_ELEMENTS:
        return None
    resizing = layers.Resizing(
        height,
        width,
        interpolation="nearest",
        data_format="channels_last",
        dtype=layer.dtype_policy,
        name=op.name,
    )
    op.become(resizing, {})
    return Rewrite("choose_kernels", (op.name,), op.name)
