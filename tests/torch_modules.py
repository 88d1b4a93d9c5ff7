"""Modules of PyTorch with statistics as after training, and the check that a reduction is exact."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from kito.rewrite.torch.reduce import TorchReduction, reduce_torch

FLOAT32, FLOAT64 = 5e-5, 1e-9


class Calls(nn.Module):
    """A module with two convolutions and two normalizations, and a forward that is given."""

    def __init__(self, forward: Callable[[Any, Any], Any], inputs: int = 6) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(inputs, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.body = forward

    def forward(self, x: Any) -> Any:
        return self.body(self, x)

    def count(self) -> int:
        """A method that is no forward."""
        return 2


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and statistics, negative and zero gammas among them; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for x in module.modules():
        names = ("weight", "bias") if "Norm" in type(x).__name__ and hasattr(x, "weight") else ()
        with torch.no_grad():
            for name in names:
                value = getattr(x, name, None)
                if value is not None:
                    value.copy_(torch.randn(value.shape, generator=generator))
                    value.flatten()[::4] *= -1
            if names and x.weight is not None and x.weight.numel() > 2:
                x.weight.flatten()[1] = 0.0
            if getattr(x, "running_mean", None) is not None:
                x.running_mean.copy_(torch.randn(x.running_mean.shape, generator=generator))
                x.running_var.copy_(torch.rand(x.running_var.shape, generator=generator) + 0.5)
    return module.eval()


def random_inputs(*shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def difference(one: Any, other: Any) -> float:
    """The largest difference of two outputs, relative to the scale of the first."""
    if isinstance(one, dict):
        return max(difference(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        assert len(one) == len(other)
        return max(difference(a, b) for a, b in zip(one, other, strict=True))
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return float((one - other).abs().max() / one.abs().max())


def check_exact(module: nn.Module, *shapes: tuple[int, ...], norms: int = 0) -> TorchReduction:
    """The reduction of a module, which is compared with it in float32 and in float64.

    The module must not change; ``norms`` batch normalizations are to be left.
    """
    before = copy.deepcopy(module.state_dict())
    training = [x.training for x in module.modules()]
    inputs = random_inputs(*shapes)
    reduction = reduce_torch(module, inputs)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert [x.training for x in module.modules()] == training

    fresh = tuple(x * 1.5 + 0.3 for x in inputs)
    plain = copy.deepcopy(module).eval()
    with torch.no_grad():
        assert difference(plain(*clones(fresh)), reduction.module(*clones(fresh))) <= FLOAT32
        wide = plain.double()
        exact = reduce_torch(wide, tuple(x.double() for x in inputs)).module
        doubles = tuple(x.double() for x in fresh)
        assert difference(wide(*clones(doubles)), exact(*clones(doubles))) <= FLOAT64
    assert not any(x.training for x in reduction.module.modules())
    assert reduction.batchnorms[1] == norms, reduction.summary()
    return reduction


def clones(values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(x.clone() for x in values)
