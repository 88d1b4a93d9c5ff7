"""What functions, operators and methods of PyTorch compute, where that is described.

Weights are constants: parameters or buffers that the traced module passes to a function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from keras import layers
from torch import fx, nn

from kito.graph.torch import describe, modules
from kito.graph.torch.describe import Described, NotDescribed
from kito.graph.torch.op import ChannelAffine, Largest, Mean, Rectifier

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Call:
    """One call of a function or a method.

    Attributes:
        node: the call in the trace.
        args, kwargs: its arguments, with constants in the place of their nodes.
        shapes: the shapes of the tensors that it takes, by node.
        shape: the shape of its result.
        dtype: of the tensors that it takes, and of its result.
    """

    node: fx.Node
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: dict[fx.Node, Shape]
    shape: Shape
    dtype: str

    def bind(self, names: Sequence[str], **defaults: Any) -> dict[str, Any]:
        """The arguments by name; raises NotDescribed for others than ``names``."""
        if len(self.args) > len(names) or not set(self.kwargs) <= set(names):
            raise NotDescribed("")
        return {**defaults, **dict(zip(names, self.args, strict=False)), **self.kwargs}

    @property
    def rank(self) -> int:
        """The number of axes of the tensor that it takes first."""
        return len(self.shapes[self.node.all_input_nodes[0]])

    @property
    def operands(self) -> list[fx.Node]:
        """The tensors that it takes."""
        return [x for x in self.node.all_input_nodes if x in self.shapes]


def name_of(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else str(node.target.__name__)


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
        if known is None and _is_stochastic_depth(node.target):
            known = _stochastic_depth
    if known is None:
        raise NotDescribed("")
    return known(call)


_Describe = Callable[[Call], Described]


def _only(call: Call, first: Any) -> None:
    """Raise NotDescribed unless ``first`` is the only tensor that is no constant."""
    if call.operands != [first]:
        raise NotDescribed("")


def _weights(*values: Any) -> None:
    if any(x is not None and not isinstance(x, torch.Tensor) for x in values):
        raise NotDescribed("its weights are computed")


# ---- layers ------------------------------------------------------------------------------------


def _convolution(rank: int, transposed: bool) -> _Describe:
    names = ["input", "weight", "bias", "stride", "padding"]
    names += ["output_padding", "groups", "dilation"] if transposed else ["dilation", "groups"]
    kinds = (
        (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        if transposed
        else (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    )

    def known(call: Call) -> Described:
        given = call.bind(names, bias=None, groups=1)
        _only(call, given.pop("input"))
        weight, bias = given.pop("weight"), given.pop("bias")
        _weights(weight, bias)
        if any(isinstance(x, fx.Node) for x in given.values()):
            raise NotDescribed("its settings are computed")
        if call.rank != rank + 2:
            raise NotDescribed("it takes a tensor without an axis for the batch")
        first, second = weight.shape[:2]
        sizes = (first, second * given["groups"])
        inputs, outputs = sizes if transposed else sizes[::-1]
        module: Any = kinds[rank - 1](
            inputs, outputs, tuple(weight.shape[2:]), bias=False, device="meta", **given
        )
        described = describe.transposed if transposed else describe.convolution
        return _with_weights(module.eval(), weight, bias, described)

    return known


def _with_weights(
    module: Any, weight: Any, bias: Any, described: Callable[[Any], Described]
) -> Described:
    """``described(module)`` of a module that gets the constants of a call as its parameters."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            frozen = not (isinstance(value, nn.Parameter) and value.requires_grad)
            value = nn.Parameter(value.detach(), requires_grad=not frozen)
        module.register_parameter(name, value)
    return described(module)


def _linear(call: Call) -> Described:
    given = call.bind(["input", "weight", "bias"], bias=None)
    _only(call, given["input"])
    _weights(given["weight"], given["bias"])
    outputs, inputs = given["weight"].shape
    module = nn.Linear(inputs, outputs, bias=False, device="meta")
    return _with_weights(module, given["weight"], given["bias"], describe.linear)


def _batch_norm(call: Call) -> Described:
    names = ["input", "running_mean", "running_var", "weight", "bias", "training"]
    given = call.bind(
        [*names, "momentum", "eps"], weight=None, bias=None, training=False, eps=1e-5
    )
    _only(call, given["input"])
    if given["training"] is not False:
        raise NotDescribed("it is called with training=True, and normalizes by the batch")
    mean, variance = given["running_mean"], given["running_var"]
    _weights(mean, variance, given["weight"], given["bias"])
    if mean is None or variance is None:
        raise NotDescribed("it has no running statistics, and normalizes by the batch")
    return describe.batch_normalization(
        mean, variance, given["weight"], given["bias"], given["eps"]
    )


# ---- one tensor --------------------------------------------------------------------------------


def _rectifier(call: Call) -> Described:
    given = call.bind(["input", "negative_slope", "inplace"])
    if isinstance(given.get("negative_slope", 0.0), fx.Node):
        raise NotDescribed("")
    _only(call, given["input"])
    return Described(Rectifier(call.dtype))


def _dropout(call: Call) -> Described:
    given = call.bind(["input", "p", "training", "inplace"], training=True)
    _only(call, given["input"])
    if given["training"] is not False:
        raise NotDescribed("it is called with training=True")
    return modules.identity(call.dtype)


def _is_stochastic_depth(target: Any) -> bool:
    where = getattr(target, "__module__", ""), getattr(target, "__name__", "")
    return where == ("torchvision.ops.stochastic_depth", "stochastic_depth")


def _stochastic_depth(call: Call) -> Described:
    given = call.bind(["input", "p", "mode", "training"], training=True)
    _only(call, given["input"])
    if given["training"] is not False:
        raise NotDescribed("it is called with training=True")
    return modules.identity(call.dtype)


def _contiguous(call: Call) -> Described:
    if len(call.args) != 1 or call.kwargs:
        raise NotDescribed("")
    return modules.identity(call.dtype)


def _spatial(call: Call, names: Sequence[str], rank: int, **defaults: Any) -> dict[str, Any]:
    given = call.bind(names, **defaults)
    _only(call, given["input"])
    if call.rank != rank + 2:
        raise NotDescribed("it takes a tensor without an axis for the batch")
    return given


def _max_pooling(rank: int) -> _Describe:
    names = ["input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"]

    def known(call: Call) -> Described:
        given = _spatial(call, [*names, "return_indices"], rank, return_indices=False)
        if given["return_indices"] is not False:
            raise NotDescribed("it returns indices")
        return Described(Largest(call.dtype))

    return known


def _average_pooling(rank: int) -> _Describe:
    names = ["input", "kernel_size", "stride", "padding", "ceil_mode"]
    names += ["count_include_pad", "divisor_override"]

    def known(call: Call) -> Described:
        given = _spatial(
            call, names, rank, stride=None, padding=0, ceil_mode=False, count_include_pad=True
        )
        if call.operands != call.node.all_input_nodes:
            raise NotDescribed("its settings are computed")
        return modules.average_pooling(
            call.dtype,
            rank,
            (given["kernel_size"], given["stride"] or given["kernel_size"]),
            given["padding"],
            given["ceil_mode"],
            (given["count_include_pad"], given.get("divisor_override")),
        )

    return known


def _adaptive_pooling(rank: int) -> _Describe:
    def known(call: Call) -> Described:
        _spatial(call, ["input", "output_size"], rank)
        return Described(Mean(call.dtype))

    return known


def _interpolate(call: Call) -> Described:
    names = ["input", "size", "scale_factor", "mode", "align_corners"]
    names += ["recompute_scale_factor", "antialias"]
    given = call.bind(names, mode="nearest", antialias=False)
    _only(call, given["input"])
    if given["antialias"] is not False or call.rank < 3:
        raise NotDescribed("")
    return modules.interpolation(given["mode"], call.dtype)


def _pad(call: Call) -> Described:
    given = call.bind(["input", "pad", "mode", "value"], mode="constant", value=None)
    _only(call, given["input"])
    flat = given["pad"]
    if not isinstance(flat, tuple | list) or not all(isinstance(n, int) for n in flat):
        raise NotDescribed("its padding is computed")
    spatial = call.rank - 2
    if len(flat) > 2 * spatial or not 1 <= spatial <= 3:
        raise NotDescribed("it pads the axis of the channels")
    if given["mode"] != "constant":
        return Described(Mean(call.dtype))
    if given["value"] not in (None, 0):
        raise NotDescribed("it pads with other values than zero")
    return modules.zero_padding([*flat, *[0] * (2 * spatial - len(flat))], call.dtype)


def _mean(call: Call) -> Described:
    given = call.bind(["input", "dim", "keepdim"], dim=None, keepdim=False)
    _only(call, given["input"])
    if call.operands != call.node.all_input_nodes or given["dim"] is None:
        raise NotDescribed("")
    dim = given["dim"]
    axes = {x % call.rank for x in (dim if isinstance(dim, tuple | list) else [dim])}
    if 0 in axes:
        raise NotDescribed("it takes the mean over the batch")
    if 1 not in axes and call.rank > 2:
        return Described(Mean(call.dtype))
    if call.rank - 1 not in axes:
        return Described(Mean(call.dtype, channels_first=False))
    raise NotDescribed("it takes the mean over the channels")


# ---- layout ------------------------------------------------------------------------------------


def _reshape(call: Call) -> Described:
    if call.operands[:1] != [call.args[0]] or len(call.operands) != 1:
        raise NotDescribed("")
    return modules.reshape(call.dtype)


def _permute(call: Call) -> Described:
    order = call.args[1:] if len(call.args) > 2 else call.args[1]
    if call.kwargs or not isinstance(order, tuple | list):
        raise NotDescribed("")
    return _permuted(call, [x % call.rank for x in order])


def _transpose(call: Call) -> Described:
    given = call.bind(["input", "dim0", "dim1"])
    one, other = given["dim0"] % call.rank, given["dim1"] % call.rank
    order = list(range(call.rank))
    order[one], order[other] = other, one
    return _permuted(call, order)


def _permuted(call: Call, order: list[int]) -> Described:
    _only(call, call.args[0])
    if order[0] != 0:
        raise NotDescribed("it moves the axis of the batch")
    return Described(layers.Permute(tuple(order[1:]), name="description", dtype=call.dtype))


# ---- several tensors ---------------------------------------------------------------------------


def _concatenate(call: Call) -> Described:
    given = call.bind(["tensors", "dim"], dim=0)
    operands = given["tensors"]
    if not isinstance(operands, tuple | list) or not isinstance(given["dim"], int):
        raise NotDescribed("")
    if not all(x in call.shapes for x in operands):
        raise NotDescribed("it joins constants too")
    axis = given["dim"] % len(call.shape)
    if axis == 0 or len({len(call.shapes[x]) for x in operands}) > 1:
        raise NotDescribed("it joins along the batch")
    layer = layers.Concatenate(axis=axis, name="description", dtype=call.dtype)
    return Described(layer, joined=True)


def _arithmetic(sign: str) -> _Describe:
    """A sum, difference, product or quotient of two tensors, or of a tensor and a constant."""

    def known(call: Call) -> Described:
        given = call.bind(["input", "other"])
        one, other = given["input"], given["other"]
        tensors = [x for x in (one, other) if isinstance(x, fx.Node) and x in call.shapes]
        if len(tensors) == 2:
            if sign == "+":
                return Described(layers.Add(name="description", dtype=call.dtype), joined=True)
            if sign == "*":
                product = layers.Multiply(name="description", dtype=call.dtype)
                return Described(product, joined=True)
            raise NotDescribed("")
        first = tensors == [one]
        constant = _constant(other if first else one, call.dtype)
        scale, shift = _ones(sign, constant, first)
        if call.shape != call.shapes[tensors[0]]:
            raise NotDescribed("it broadcasts its tensor")
        return Described(ChannelAffine(call.dtype, scale, shift))

    return known


def _constant(value: Any, dtype: str) -> np.ndarray:
    """A number or a constant tensor as the operation takes it, in float64."""
    if isinstance(value, torch.Tensor):
        if describe.dtype_name(value.dtype) != dtype and value.ndim:
            raise NotDescribed("its constant has another dtype")
        return np.asarray(value.detach().cpu().double().numpy())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.asarray(value, np.float64)
    raise NotDescribed("")


def _ones(sign: str, constant: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift) of ``x sign constant``, or of ``constant sign x`` where not ``first``."""
    one, zero = np.ones(()), np.zeros(())
    with np.errstate(all="ignore"):
        if sign == "+":
            return one, constant
        if sign == "-":
            return (one, -constant) if first else (-one, constant)
        if sign == "*":
            return constant, zero
        if first:
            return 1.0 / constant, zero
    raise NotDescribed("")


def _negative(call: Call) -> Described:
    _only(call, call.args[0])
    return Described(ChannelAffine(call.dtype, -np.ones(()), np.zeros(())))


_ADD, _SUBTRACT = _arithmetic("+"), _arithmetic("-")
_MULTIPLY, _DIVIDE = _arithmetic("*"), _arithmetic("/")
_FUNCTIONS: dict[Any, _Describe] = {
    torch.conv1d: _convolution(1, False),
    torch.conv2d: _convolution(2, False),
    torch.conv3d: _convolution(3, False),
    F.conv1d: _convolution(1, False),
    F.conv2d: _convolution(2, False),
    F.conv3d: _convolution(3, False),
    F.conv_transpose1d: _convolution(1, True),
    F.conv_transpose2d: _convolution(2, True),
    F.conv_transpose3d: _convolution(3, True),
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.relu: lambda call: _relu(call),
    F.relu_: lambda call: _relu(call),
    torch.relu: lambda call: _relu(call),
    torch.relu_: lambda call: _relu(call),
    F.leaky_relu: _rectifier,
    F.dropout: _dropout,
    F.dropout1d: _dropout,
    F.dropout2d: _dropout,
    F.dropout3d: _dropout,
    F.alpha_dropout: _dropout,
    F.max_pool1d: _max_pooling(1),
    F.max_pool2d: _max_pooling(2),
    F.max_pool3d: _max_pooling(3),
    torch.max_pool1d: _max_pooling(1),
    torch.max_pool2d: _max_pooling(2),
    F.avg_pool1d: _average_pooling(1),
    F.avg_pool2d: _average_pooling(2),
    F.avg_pool3d: _average_pooling(3),
    F.adaptive_avg_pool1d: _adaptive_pooling(1),
    F.adaptive_avg_pool2d: _adaptive_pooling(2),
    F.adaptive_avg_pool3d: _adaptive_pooling(3),
    F.interpolate: _interpolate,
    F.pad: _pad,
    torch.mean: _mean,
    torch.flatten: _reshape,
    torch.reshape: _reshape,
    torch.permute: _permute,
    torch.transpose: _transpose,
    torch.cat: _concatenate,
    torch.concat: _concatenate,
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
    operator.neg: _negative,
    torch.neg: _negative,
}
_METHODS: dict[str, _Describe] = {
    "relu": lambda call: _relu(call),
    "relu_": lambda call: _relu(call),
    "mean": _mean,
    "flatten": _reshape,
    "reshape": _reshape,
    "view": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "contiguous": _contiguous,
    "add": _ADD,
    "add_": _ADD,
    "sub": _SUBTRACT,
    "sub_": _SUBTRACT,
    "mul": _MULTIPLY,
    "mul_": _MULTIPLY,
    "div": _DIVIDE,
    "div_": _DIVIDE,
    "neg": _negative,
}


def _relu(call: Call) -> Described:
    _only(call, call.bind(["input", "inplace"])["input"])
    return Described(Rectifier(call.dtype))
