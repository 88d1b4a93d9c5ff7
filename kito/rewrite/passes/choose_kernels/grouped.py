"""Grouped convolutions as depthwise ones, or as several plain ones.

Identities, for a convolution whose output channels lie in as many groups as its input channels:

- With a group for each input channel, output channel ``i * m + j`` is the ``j``-th of the ``m``
  filters of input channel ``i``. That is a depthwise convolution with ``depth_multiplier=m``.
- With any groups, it is the plain convolutions of the groups side by side:
  ``conv(x) = concat(conv_1(x_1), .., conv_g(x_g))``.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from kito.graph.ir import Node, Op
from kito.graph.keras_internals import split_operation
from kito.rewrite.affine import Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import check_linear, windows
from kito.rewrite.outcome import Rewrite
from kito.rewrite.transfer.preconditions import ELEMENTWISE, check_plain

_DEPTHWISE: dict[type, Any] = {
    layers.Conv1D: layers.DepthwiseConv1D,
    layers.Conv2D: layers.DepthwiseConv2D,
}
_MOST_GROUPS = 64
"""The largest number of groups that was measured; each group becomes a layer."""


def as_depthwise(node: Node) -> Rewrite | None:
    """Let a depthwise layer of the same name take all calls of a grouped convolution."""
    op = node.op.innermost
    if type(op.layer) not in _DEPTHWISE or op.layer.groups == 1:
        return None
    kernel, layer = op.weight("kernel"), op.layer
    if kernel is None or not _is_depthwise(op, kernel.shape):
        return None
    *window, _, filters = kernel.shape
    groups = layer.groups
    depthwise = _DEPTHWISE[type(layer)](
        kernel_size=tuple(window),
        strides=op.setting("strides"),
        padding=op.setting("padding"),
        depth_multiplier=filters // groups,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
        activation=op.setting("activation"),
        use_bias=op.setting("use_bias"),
        depthwise_regularizer=layer.kernel_regularizer,
        depthwise_constraint=layer.kernel_constraint,
        bias_regularizer=layer.bias_regularizer,
        bias_constraint=layer.bias_constraint,
        activity_regularizer=layer.activity_regularizer,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=op.name,
    )
    weights = {"kernel": kernel.reshape(*window, groups, filters // groups)}
    bias = op.weight("bias")
    op.become(depthwise, weights if bias is None else {**weights, "bias": bias})
    return Rewrite("choose_kernels", (op.name,), op.name)


def _is_depthwise(op: Op, shape: tuple[int, ...]) -> bool:
    """Whether a depthwise layer can replace the layer, and runs another kernel."""
    along = windows(op)
    strides, dilations = {x.stride for x in along}, {x.dilation for x in along}
    try:
        check_plain(op)
    except Refused:
        return False
    return (
        shape[-2] == 1
        # A convolution of one tap is a product, which is fast in every kernel.
        and math.prod(shape[:-2]) > 1
        and op.setting("padding") in ("valid", "same")
        and not isinstance(op.setting("activation"), layers.Layer)  # it has weights of its own
        # TensorFlow has no depthwise kernel with unequal strides, nor with strides and dilation.
        and len(strides) == 1
        and (strides == {1} or dilations == {1})
    )


def as_plain(node: Node) -> Rewrite | None:
    """Slices, a plain convolution of each, and a Concatenate that gets the name of the layer."""
    op, graph, data = node.op, node.graph, node.data
    if type(op.layer) not in _DEPTHWISE or not 1 < op.layer.groups <= _MOST_GROUPS:
        return None
    kernel, groups = op.weight("kernel"), op.layer.groups
    if kernel is None or kernel.shape[-2] == 1 or not _can_be_split(node):
        return None
    assert data is not None
    bias, width = op.weight("bias"), kernel.shape[-1] // groups
    split, slices = split_operation(data, groups)
    parts = []
    for i, x in enumerate(graph.put_before(node, Op(split, f"{op.name}_split"), data, slices)):
        own = slice(i * width, (i + 1) * width)
        part = op.copy(f"{op.name}_{i}")
        weights = {"kernel": kernel[..., own]}
        part.change(
            weights if bias is None else {**weights, "bias": bias[own]},
            {"groups": 1, "filters": width},
        )
        result = keras.KerasTensor((*node.outputs[0].shape[:-1], width), node.outputs[0].dtype)
        parts += graph.put_before(node, part, x, [result])
    joined = layers.Concatenate(name=op.name, dtype=op.layer.dtype_policy)
    graph.call_layer(node, joined, parts)
    return Rewrite("choose_kernels", (op.name,), node.op.name)


def _can_be_split(node: Node) -> bool:
    try:
        check_linear(node, but_activation=True)
    except Refused:
        return False
    activation = node.op.setting("activation")
    return (
        (activation is None or activation in ELEMENTWISE)
        and not is_channels_first(node.op.layer)
        # A Sequential model is a list of layers, and a slice is not a layer.
        and not node.graph.sequential
    )
