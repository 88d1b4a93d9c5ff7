"""A module with the weights that passes gave to an op."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from keras import layers
from torch import nn

from kito.graph.torch.op import TorchOp, TransposedConvolution

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def module_with(op: TorchOp) -> nn.Module:
    """A copy of the module of ``op`` with the weights that passes set; the old one stays.

    Raises:
        ValueError: passes changed what a module of this kind does not have.
    """
    if op.template is None or not set(op.config) <= _SETTINGS:
        raise ValueError(f"'{op.name}' ({op.kind}) was changed in {sorted(op.config)}")
    module: Any = copy.copy(op.template)
    module._parameters = dict(op.template._parameters)
    module._buffers = dict(op.template._buffers)
    if isinstance(op.layer, layers.GroupNormalization | layers.LayerNormalization):
        _set_norm(module, op)
        return module
    kernel = op.weight("kernel")
    assert kernel is not None
    if isinstance(module, nn.Linear):
        weight = kernel.T
        module.out_features, module.in_features = weight.shape
    elif isinstance(op.layer, TransposedConvolution):
        weight = np.moveaxis(kernel, (-3, -2, -1), (0, 2, 1))
        weight = weight.reshape(-1, *weight.shape[2:])
    elif isinstance(module, _CONVOLUTIONS):
        weight = np.moveaxis(kernel, (-1, -2), (0, 1))
        module.out_channels = weight.shape[0]
        module.in_channels = weight.shape[1] * module.groups
    else:
        raise ValueError(f"'{op.name}' ({op.kind}) has a kernel")
    module.weight = _parameter(weight, module.weight)
    bias = op.weight("bias")
    module.bias = None if bias is None else _parameter(bias, module.weight)
    return module


_SETTINGS = {"use_bias", "filters", "units", "activation", "scale", "center"}
"""What passes change, and a module of PyTorch says by the shapes of its weights."""


def _set_norm(module: Any, op: TorchOp) -> None:
    like = module.weight if module.weight is not None else module.bias
    gamma, beta = op.weight("gamma"), op.weight("beta")
    if gamma is not None:
        module.weight = _parameter(gamma, like)
    if beta is not None:
        module.bias = _parameter(beta, like)


def _parameter(value: np.ndarray, like: nn.Parameter) -> nn.Parameter:
    """A parameter of ``value`` with the dtype, device, strides and flag of another."""
    value = np.array(value, order="C")  # torch takes no negative strides and no shared memory
    if value.dtype.name == "bfloat16":
        tensor = torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(value)
    tensor = tensor.to(like.device, like.dtype)
    if tensor.ndim in (4, 5) and not like.is_contiguous():
        layout = torch.channels_last if tensor.ndim == 4 else torch.channels_last_3d
        if like.is_contiguous(memory_format=layout):
            tensor = tensor.contiguous(memory_format=layout)
    return nn.Parameter(tensor, requires_grad=like.requires_grad)
