"""What functions, operators and methods of PyTorch compute, where that is described.

Weights are constants: parameters or buffers that the traced module passes to a function.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

from kito.graph.torch import arithmetic, unary, weighted
from kito.graph.torch.call import Call, Describe
from kito.graph.torch.describe import Described, NotDescribed


def describe_call(call: Call) -> Described:
    """What a call of a function, an operator or a method computes.

    Raises:
        NotDescribed: nobody has described it, or not with these arguments.
    """
    node = call.node
    if node.op == "call_method":
        known = _METHODS.get(str(node.target))
    else:
        known = _FUNCTIONS.get(node.target)
        if known is None and unary.is_stochastic_depth(node.target):
            known = unary.stochastic_depth
    if known is None:
        raise NotDescribed("")
    return known(call)


_ADD, _SUBTRACT = arithmetic.arithmetic("+"), arithmetic.arithmetic("-")
_MULTIPLY, _DIVIDE = arithmetic.arithmetic("*"), arithmetic.arithmetic("/")
_FUNCTIONS: dict[Any, Describe] = {
    torch.conv1d: weighted.convolution(1, False),
    torch.conv2d: weighted.convolution(2, False),
    torch.conv3d: weighted.convolution(3, False),
    F.conv1d: weighted.convolution(1, False),
    F.conv2d: weighted.convolution(2, False),
    F.conv3d: weighted.convolution(3, False),
    F.conv_transpose1d: weighted.convolution(1, True),
    F.conv_transpose2d: weighted.convolution(2, True),
    F.conv_transpose3d: weighted.convolution(3, True),
    F.linear: weighted.linear,
    F.batch_norm: weighted.batch_norm,
    F.relu: unary.relu,
    F.relu_: unary.relu,
    torch.relu: unary.relu,
    torch.relu_: unary.relu,
    F.leaky_relu: unary.leaky_relu,
    F.dropout: unary.dropout,
    F.dropout1d: unary.dropout,
    F.dropout2d: unary.dropout,
    F.dropout3d: unary.dropout,
    F.alpha_dropout: unary.dropout,
    F.max_pool1d: unary.max_pooling(1),
    F.max_pool2d: unary.max_pooling(2),
    F.max_pool3d: unary.max_pooling(3),
    torch.max_pool1d: unary.max_pooling(1),
    torch.max_pool2d: unary.max_pooling(2),
    F.avg_pool1d: unary.average_pooling(1),
    F.avg_pool2d: unary.average_pooling(2),
    F.avg_pool3d: unary.average_pooling(3),
    F.adaptive_avg_pool1d: unary.adaptive_pooling(1),
    F.adaptive_avg_pool2d: unary.adaptive_pooling(2),
    F.adaptive_avg_pool3d: unary.adaptive_pooling(3),
    F.interpolate: unary.interpolate,
    F.pad: unary.pad,
    torch.mean: unary.mean,
    torch.flatten: unary.reshape,
    torch.reshape: unary.reshape,
    torch.permute: unary.permute,
    torch.transpose: unary.transpose,
    torch.cat: arithmetic.concatenate,
    torch.concat: arithmetic.concatenate,
    operator.add: _ADD,
    operator.iadd: _ADD,
    torch.add: _ADD,
    operator.sub: _SUBTRACT,
    operator.isub: _SUBTRACT,
    torch.sub: _SUBTRACT,
    operator.mul: _MULTIPLY,
    operator.imul: _MULTIPLY,
    torch.mul: _MULTIPLY,
    operator.truediv: _DIVIDE,
    operator.itruediv: _DIVIDE,
    torch.div: _DIVIDE,
    operator.neg: arithmetic.negative,
    torch.neg: arithmetic.negative,
}
_METHODS: dict[str, Describe] = {
    "relu": unary.relu,
    "relu_": unary.relu,
    "mean": unary.mean,
    "flatten": unary.reshape,
    "reshape": unary.reshape,
    "view": unary.reshape,
    "permute": unary.permute,
    "transpose": unary.transpose,
    "contiguous": unary.contiguous,
    "add": _ADD,
    "add_": _ADD,
    "sub": _SUBTRACT,
    "sub_": _SUBTRACT,
    "mul": _MULTIPLY,
    "mul_": _MULTIPLY,
    "div": _DIVIDE,
    "div_": _DIVIDE,
    "neg": arithmetic.negative,
}
