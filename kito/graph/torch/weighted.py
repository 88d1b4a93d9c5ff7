"""Functions with weights: convolutions, linear, and normalization by given statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn

from kito.graph.torch import describe
from kito.graph.torch.call import Call, Describe, check_constants, check_only
from kito.graph.torch.describe import Described, NotDescribed


def convolution(rank: int, transposed: bool) -> Describe:
    """``conv1d`` to ``conv3d``, or ``conv_transpose1d`` to ``conv_transpose3d``."""
    names = ["input", "weight", "bias", "stride", "padding"]
    names += ["output_padding", "groups", "dilation"] if transposed else ["dilation", "groups"]
    kinds = (
        (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        if transposed
        else (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    )

    def known(call: Call) -> Described:
        given = call.bind(names, bias=None, groups=1)
        check_only(call, given.pop("input"))
        weight, bias = given.pop("weight"), given.pop("bias")
        check_constants(weight, bias)
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
        return _with_constants(module.eval(), weight, bias, described)

    return known


def _with_constants(
    module: Any, weight: Any, bias: Any, described: Callable[[Any], Described]
) -> Described:
    """``described(module)`` of a module that gets the constants of a call as its parameters."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            frozen = not (isinstance(value, nn.Parameter) and value.requires_grad)
            value = nn.Parameter(value.detach(), requires_grad=not frozen)
        module.register_parameter(name, value)
    return described(module)


def linear(call: Call) -> Described:
    """``linear`` with constant weights."""
    given = call.bind(["input", "weight", "bias"], bias=None)
    check_only(call, given["input"])
    check_constants(given["weight"], given["bias"])
    outputs, inputs = given["weight"].shape
    module = nn.Linear(inputs, outputs, bias=False, device="meta")
    return _with_constants(module, given["weight"], given["bias"], describe.linear)


def batch_norm(call: Call) -> Described:
    """``batch_norm`` by given statistics."""
    names = ["input", "running_mean", "running_var", "weight", "bias", "training"]
    given = call.bind([*names, "momentum", "eps"], weight=None, bias=None, training=False, eps=1e-5)
    check_only(call, given["input"])
    if given["training"] is not False:
        raise NotDescribed("it is called with training=True, and normalizes by the batch")
    mean, variance = given["running_mean"], given["running_var"]
    check_constants(mean, variance, given["weight"], given["bias"])
    if mean is None or variance is None:
        raise NotDescribed("it has no running statistics, and normalizes by the batch")
    return describe.batch_normalization(
        mean, variance, given["weight"], given["bias"], given["eps"]
    )
