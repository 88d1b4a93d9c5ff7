"""Inputs on which a module is run: those that are given, or random ones that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from kito.errors import KitoError, summarize
from kito.graph.torch.record import run_inputs

_SIZES = (64, 224, 32, 299, 384)
"""Spatial sizes that are tried, in pixels."""
_RANKS: dict[type, int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


def as_inputs(example_inputs: Any) -> tuple[Any, ...]:
    """The arguments of a call: a tensor, or a tuple or list with one item for each argument.

    Raises:
        KitoError: they are none of these, or hold no tensor.
    """
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,)
    if isinstance(example_inputs, Mapping) or not isinstance(example_inputs, tuple | list):
        raise KitoError(
            "example_inputs: a tensor, or a tuple of the positional arguments of forward; got "
            f"{type(example_inputs).__name__}"
        )
    return tuple(example_inputs)


def find_inputs(module: nn.Module) -> tuple[torch.Tensor]:
    """Random images, signals or volumes that ``module``, in eval mode, takes.

    They have the channels of its first layer with weights, which must be a convolution.

    Raises:
        KitoError: there is no such layer, or the module takes no such inputs.
    """
    first = next((x for x in module.modules() if next(x.parameters(False), None) is not None), None)
    rank = _RANKS.get(type(first), 0)
    if first is None or not rank:
        kind = "no weights" if first is None else type(first).__name__
        raise KitoError(
            f"reduce_torch_module() cannot guess what {type(module).__name__} takes, which begins "
            f"with {kind}: pass example_inputs, a tensor or a tuple of the arguments of forward"
        )
    weight = first.weight
    problem = ""
    for size in _SIZES:
        shape = (2, first.in_channels, *[size if rank < 3 else size // 4] * rank)
        generator = torch.Generator().manual_seed(0)
        values = torch.rand(shape, generator=generator).to(weight.device, weight.dtype)
        try:
            run_inputs(module, (values,))
        except Exception as error:  # whatever the forward of a module may raise
            problem = summarize(error)
            continue
        return (values,)
    raise KitoError(
        f"{type(module).__name__} takes none of the random images that were tried ({problem}): "
        "pass example_inputs, a tensor or a tuple of the arguments of forward"
    )


def with_noise(inputs: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """The inputs with noise on their floats, which may be all zero, say."""
    generator = torch.Generator().manual_seed(0)

    def disturbed(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or not x.is_floating_point() or not x.numel():
            return x
        noise = torch.randn(x.shape, generator=generator).to(x.device, x.dtype)
        scale = float(x.abs().max())
        return x + noise * (0.1 * scale if 0 < scale < float("inf") else 1.0)

    noisy: tuple[Any, ...] | None = pytree.tree_map(disturbed, inputs)
    return noisy


def other_size(inputs: tuple[Any, ...]) -> tuple[torch.Tensor] | None:
    """One image of a larger size; None where the inputs are other than one batch of images."""
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        return None
    (x,) = inputs
    if x.ndim != 4 or not x.is_floating_point() or x.shape[0] == 0:
        return None
    return (torch.cat([x, x[..., :32, :]], dim=2)[:1],)
