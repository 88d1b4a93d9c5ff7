"""Layers on images that an engine runs faster as convolutions of one position.

Identities, for images with the channels last: ``Dense`` is a convolution with a 1 x 1 kernel of the
same weights; ``Rescaling`` with a vector each is a depthwise one, ``kernel = scale`` and
``bias = offset``. The layers are replaced in the exported file only. Keras' own export of ``Dense``
calculates two shapes at each call and reshapes the images to a matrix and back, and neither
OpenVINO nor LiteRT sees through that. Measured figures are in docs/engines.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kito.graph.build import build_model
from kito.graph.copy_layer import prepare_copies
from kito.graph.ir import Node, Op
from kito.graph.limits import LimitFound
from kito.graph.read import is_readable, read_graph
from kito.rewrite.affine import Refused
from kito.rewrite.legality import Affines
from kito.rewrite.transfer.preconditions import check_plain


def with_convolutions(model: Any, affines: bool = False) -> Any:
    """A model of the same outputs, inputs and names with convolutions instead of such layers.

    Args:
        model: a functional or Sequential model, which is left unchanged; any other is returned.
        affines: whether to replace ``Rescaling``, too.

    Returns:
        A new model; ``model`` itself where nothing is replaced, or where it cannot be copied whole.
    """
    if not is_readable(model):
        return model
    graph = read_graph(model)
    nodes = [node for inner in graph.graphs() for node in inner.nodes]
    dense = {node.op: None for node in nodes if _is_dense_on_images(node.op)}
    kept = [node for node in nodes if affines and _is_affine_of_images(node)]
    if not dense and not kept:
        return model
    prepare_copies(graph)
    for op in dense:
        _convolve(op)
    for node in kept:
        _convolve_depthwise(node)
    try:
        new, shared = build_model(graph)
    except LimitFound:
        return model
    return model if shared else new


def _is_dense_on_images(op: Op) -> bool:
    layer = op.layer
    if type(layer) is not layers.Dense or op.wrappers or not op.nodes:
        return False
    try:
        check_plain(op)
    except Refused:
        return False
    own_weights = isinstance(op.setting("activation"), layers.Layer)
    return not own_weights and all(_is_plain(node) for node in op.nodes)


def _is_affine_of_images(node: Node) -> bool:
    if type(node.op.layer) is not layers.Rescaling or not _is_plain(node):
        return False
    affine = Affines().of(node)
    # A scale or a shift alone is one operation already.
    return affine is not None and affine.axis == 3 and affine.cost == 2


def _is_plain(node: Node) -> bool:
    """Whether it makes one float32 image of one, of known channels and without a mask."""
    data, layer = node.data, node.op.layer
    if data is None or len(node.inputs) != 1 or len(node.outputs) != 1:
        return False
    result = node.outputs[0]
    dtypes = {data.dtype, result.dtype, layer.compute_dtype, layer.variable_dtype}
    shapes = (data.shape, result.shape)
    return (
        dtypes == {"float32"}
        and all(len(shape) == 4 and shape[3] is not None for shape in shapes)
        and data.mask is None
        and result.mask is None
    )


def _convolve(op: Op) -> None:
    """Let a convolution take all calls of a Dense."""
    kernel, bias = op.weight("kernel"), op.weight("bias")
    assert kernel is not None
    convolution = layers.Conv2D(
        kernel.shape[1],
        1,
        data_format="channels_last",
        activation=op.setting("activation"),
        use_bias=bias is not None,
        dtype=op.layer.dtype_policy,
        name=op.name,
    )
    weights = {"kernel": kernel[np.newaxis, np.newaxis]}
    op.become(convolution, weights if bias is None else {**weights, "bias": bias})


def _convolve_depthwise(node: Node) -> None:
    """Let a depthwise convolution of the same name take the call of a Rescaling."""
    affine = Affines().of(node)
    assert affine is not None
    convolution = layers.DepthwiseConv2D(
        1, data_format="channels_last", dtype=node.op.layer.dtype_policy, name=node.op.name
    )
    convolution.build(node.outputs[0].shape)
    scale, shift = (x.astype(np.float32) for x in (affine.scale, affine.shift))
    convolution.set_weights([scale.reshape(1, 1, -1, 1), shift])
    assert node.data is not None
    node.graph.call_layer(node, convolution, node.data)
