"""A module as its owner gives it: whether it can be worked with, and a copy to work on."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from kito.errors import KitoError, UnsupportedModelError, summarize


def check_module(module: Any) -> None:
    """Raise a KitoError that says what to do where ``module`` cannot be reduced at all."""
    name = type(module).__name__
    if not isinstance(module, nn.Module):
        raise KitoError(f"reduce_torch_module() needs a torch.nn.Module; got {name}")
    inside = {"OptimizedModule": "_orig_mod", "DataParallel": "module"}
    inside["DistributedDataParallel"] = "module"
    if name in inside:
        raise UnsupportedModelError(
            f"reduce_torch_module() got a {name}: pass the module in it, .{inside[name]}, and wrap "
            "the reduced one again"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedModelError(
            f"reduce_torch_module() got {name}, which is compiled: reduce the module that it was "
            "made of, and compile the reduced one"
        )
    for path, value in (*module.named_parameters(), *module.named_buffers()):
        if nn.parameter.is_lazy(value):
            raise UnsupportedModelError(f"'{path}' has no shape yet: call the module once before")
        if value.is_meta:
            raise UnsupportedModelError(f"'{path}' is on the meta device: load its values before")


def copy_module(module: nn.Module) -> nn.Module:
    """A copy of ``module`` in eval mode.

    Raises:
        UnsupportedModelError: it cannot be copied.
    """
    try:
        return copy.deepcopy(module).eval()
    except Exception as error:  # whatever the copy of an attribute may raise
        raise UnsupportedModelError(
            f"{type(module).__name__} cannot be copied: {summarize(error)}. A weight that a hook "
            "computes must be made a parameter before: torch.nn.utils.remove_weight_norm, say"
        ) from error
