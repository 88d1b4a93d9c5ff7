"""One layer for two linear layers in a row, where that takes fewer multiplications.

Identities, with ``M`` the matrix of a 1 x 1 convolution or a Dense layer:

- ``M (W x + b) + c = (M W) x + (M b + c)``: the kernel ``W`` of any convolution, its output
  channels mixed by ``M``;
- ``W (M x + b) + c = (W M) x + (W b + c)``: likewise with its input channels. If the convolution
  pads, it must see zeros there, so ``b`` must be zero then.

Per output element the first pair takes ``k * in * mid + mid * out`` multiplications, the second
``in * mid + k * mid * out``, with windows of k elements, and the one layer ``k * in * out``. A
depthwise 1 x 1 convolution before a convolution is always merged: that never takes more
multiplications.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Op
from kito.rewrite.affine import Array, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import DENSE, DEPTHWISE, check_linear, windows
from kito.rewrite.numerics import cast
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.transfer.kernel import window_sum
from kito.rewrite.transfer.preconditions import check_bias_axis

_LINEAR = (*DENSE, layers.Dense)


def run(graph: Graph) -> Outcome:
    """Collapse every pair of ``graph``, and of the models nested in it, that is worth it."""
    outcome = Outcome()
    for inner in graph.graphs():
        for node in list(inner.nodes):
            while node in inner.nodes:
                rewrite = _collapse(inner, node)
                if rewrite is None:
                    break
                outcome.rewrites.append(rewrite)
    return outcome


def _collapse(graph: Graph, second: Node) -> Rewrite | None:
    """Collapse the call with the one before it, if that can be done and is worth it."""
    data = second.data
    if type(second.op.layer) not in _LINEAR or data is None:
        return None
    first = data.node
    if type(first.op.layer) not in (*_LINEAR, *DEPTHWISE) or graph.is_output(data):
        return None
    if data.users != [second] or _channel_axis(first) != _channel_axis(second):
        return None
    try:
        check_linear(first)
        check_linear(second, but_activation=True)
        if any(x.op.weight("bias") is not None for x in (first, second)):
            check_bias_axis(second.op, second.outputs[0].shape)
        if _into_first(first.op, second.op):
            data.shape = second.outputs[0].shape
            graph.bypass(second)
            return Rewrite("collapse_linear", (second.op.name,), first.op.name)
        if _into_second(first.op, second.op):
            graph.bypass(first)
            return Rewrite("collapse_linear", (first.op.name,), second.op.name)
    except Refused:
        pass
    return None


def _channel_axis(node: Node) -> int:
    return 1 if is_channels_first(node.op.layer) else len(node.outputs[0].shape) - 1


def _into_first(first: Op, second: Op) -> bool:
    """Make the first layer ``M (W x + b) + c``; returns whether that was done."""
    mix, kernel = _matrix(second), _kernel(first)
    if mix is None or kernel is None:
        return False
    inputs, between = kernel.shape[-2:]
    filters = mix.shape[-1]
    taps = math.prod(kernel.shape[:-2])
    if taps * inputs * filters >= taps * inputs * between + between * filters:
        return False
    own = _bias(first)
    bias = _sum(None if own is None else own @ mix, _bias(second))
    size = "units" if type(first.layer) is layers.Dense else "filters"
    config = {size: filters, "activation": second.setting("activation")}
    _change(first, kernel @ mix, bias, config)
    return True


def _into_second(first: Op, second: Op) -> bool:
    """Make the second layer ``W (M x + b) + c``; returns whether that was done."""
    kernel, bias = _kernel(second), _bias(first)
    if kernel is None:
        return False
    pads = second.setting("padding", "valid") != "valid" and math.prod(kernel.shape[:-2]) > 1
    if pads and bias is not None and np.any(bias):
        return False
    response = None if bias is None else bias @ window_sum(kernel)
    between, filters = kernel.shape[-2:]
    if type(first.layer) in DEPTHWISE:
        scales = _pointwise(first)
        if scales is None:
            return False
        inputs = len(scales)
        parts = kernel.reshape(*kernel.shape[:-2], inputs, -1, filters)
        new = np.einsum("ij,...ijo->...io", scales, parts)
    else:
        mix = _matrix(first)
        if mix is None:
            return False
        inputs, taps = len(mix), math.prod(kernel.shape[:-2])
        if taps * inputs * filters >= inputs * between + taps * between * filters:
            return False
        new = np.einsum("im,...mo->...io", mix, kernel)
    _change(second, new, _sum(response, _bias(second)), {})
    return True


def _kernel(op: Op) -> Array | None:
    """(*window, in, out) in float64, of a layer that connects every input with every output."""
    kernel = op.weight("kernel")
    if kernel is None or type(op.layer) not in _LINEAR or getattr(op.layer, "groups", 1) != 1:
        return None
    return kernel.astype(np.float64)


def _pointwise(op: Op) -> Array | None:
    """The last two axes of a kernel of one tap, stride 1, in float64."""
    kernel = op.weight("kernel")
    if kernel is None:
        return None
    if type(op.layer) is not layers.Dense and any(
        (x.size, x.stride) != (1, 1) for x in windows(op)
    ):
        return None
    return kernel.astype(np.float64).reshape(kernel.shape[-2:])


def _matrix(op: Op) -> Array | None:
    """(in, out) of a Dense layer or a 1 x 1 convolution."""
    return None if _kernel(op) is None else _pointwise(op)


def _bias(op: Op) -> Array | None:
    bias = op.weight("bias")
    return None if bias is None else bias.astype(np.float64)


def _sum(one: Array | None, other: Array | None) -> Array | None:
    """The sum of two biases; None is zero."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _change(op: Op, kernel: Array, bias: Array | None, config: dict[str, Any]) -> None:
    """Give the layer another kernel; raises Refused where its dtype cannot hold it."""
    old = op.weight("kernel")
    assert old is not None
    dtype, compute_dtype = old.dtype, op.layer.compute_dtype
    weights = {"kernel": cast(kernel, dtype, "kernel", compute_dtype)}
    if bias is not None:
        weights["bias"] = cast(bias, dtype, "bias", compute_dtype)
    op.change(weights, {**config, "use_bias": bias is not None})
