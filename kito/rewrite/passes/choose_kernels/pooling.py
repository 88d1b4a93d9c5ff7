"""Global pooling that keeps its axes, instead of a Reshape that brings them back.

Identity: the mean, or the largest element, of each channel of an image is one number, and so the
same elements in the same order with axes of size 1 as without. Squeeze-and-excitation is often
written with such a Reshape. In exported files it also calculates the new shape at each call, and
divides the network in two for engines that take over parts of a network, as XNNPACK does.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Node
from kito.rewrite.channels import is_channels_first
from kito.rewrite.outcome import Rewrite

_POOLINGS = (
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
)


def keeping_axes(node: Node) -> Rewrite | None:
    """A global pooling with ``keepdims`` for one and the Reshape after it, its only user."""
    graph, pooled, reshape = node.graph, node.data, node.op
    if type(reshape.layer) is not layers.Reshape or len(reshape.calls()) > 1 or pooled is None:
        return None
    pooling = pooled.node
    layer, source = pooling.op.layer, pooling.data
    if type(layer) not in _POOLINGS or len(pooling.op.calls()) > 1 or source is None:
        return None
    if layer.keepdims or pooled.users != [node] or graph.is_output(pooled):
        return None
    if source.mask is not None or pooled.mask is not None or node.outputs[0].mask is not None:
        return None
    if len({source.dtype, pooled.dtype, node.outputs[0].dtype, layer.compute_dtype}) > 1:
        return None
    first, axes = is_channels_first(layer), (1,) * (len(source.shape) - 2)
    channels = source.shape[1 if first else -1]
    kept = (channels, *axes) if first else (*axes, channels)
    if channels is None or node.outputs[0].shape[1:] != kept:
        return None
    keeping = type(layer)(
        data_format=layer.data_format, keepdims=True, dtype=layer.dtype_policy, name=pooling.op.name
    )
    removed = pooling.op.name, reshape.name
    graph.set_operands(node, source)
    graph.call_layer(node, keeping, source)
    return Rewrite("choose_kernels", removed, node.op.name)
