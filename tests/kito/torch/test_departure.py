"""The first layer of a reduced module at which it departs from the original."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import nn
from torch_modules import random_inputs, randomized

import kito
from kito.equivalence.matching import read_calls
from kito.runtime.torch_pair import wrap_module


class Block(nn.Module):
    """A residual; it changes its tensors in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = (
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += x
        return F.relu_(y)


class Net(nn.Module):
    """Two blocks, one of them called twice, a tuple of tensors on the way, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.norm = nn.BatchNorm2d(8)  # before a sum, so it is not folded
        self.dense = nn.Linear(8, 4)

    def forward(self, image: Any) -> Any:
        x = self.blocks(self.stem(image))
        x = self.blocks[1](x)
        one, two = torch.chunk(self.norm(F.gelu(x)), 2, dim=1)
        return self.dense(torch.cat([two, one], dim=1).mean((2, 3)))


class Branching(Net):
    """What ``torch.fx`` cannot trace."""

    def forward(self, image: Any) -> Any:
        return super().forward(image if image.sum() > 0 else -image)


def _scaled(name: str, path: str) -> Callable[[nn.Module], None]:
    def change(module: nn.Module) -> None:
        with torch.no_grad():
            module.get_parameter(f"{path}.{name}").mul_(1.5)

    return change


@pytest.fixture
def pair() -> tuple[nn.Module, nn.Module, torch.Tensor]:
    (x,) = random_inputs((4, 3, 12, 12))
    module = randomized(Net())
    return module, kito.reduce_torch_module(module, x), x


@pytest.mark.parametrize(
    "name, layer",
    [
        ("weight", "stem"),
        ("bias", "blocks.0.conv1"),  # with its normalization; another follows the activation
        ("weight", "blocks.0.conv2"),  # its normalization is gone, too
        ("weight", "blocks.1.conv1"),  # called twice
        ("bias", "dense"),
    ],
)
def test_the_layer_is_named(
    pair: tuple[nn.Module, nn.Module, torch.Tensor], name: str, layer: str
) -> None:
    module, reduced, x = pair
    assert kito.compare(module, reduced, x).departure is None
    _scaled(name, layer)(reduced)
    departure = kito.compare(module, reduced, x).departure
    assert departure is not None
    assert departure.layer == layer
    assert departure.max_abs > 0.01 * departure.scale


def test_the_calls_of_a_module() -> None:
    (x,) = random_inputs((4, 3, 12, 12))
    model = wrap_module(randomized(Net()), {"image": x.numpy()})
    calls = read_calls(model)
    results = list(calls.walk([x.numpy()]))
    made = [(x.layer, x.parents) for x in results]
    assert [made[0], made[1]] == [("image", ()), ("stem", (0,))]
    count = len(calls.graph.nodes)
    assert len(made) == count
    assert all(max(parents, default=-1) < i for i, (_, parents) in enumerate(made))
    # What the call after it changes in place stays as it was.
    norm = next(x.value for x in results if x.layer == "blocks.0.norm1")
    assert norm.min() < 0
    # Both halves come from the tuple that is made of one tensor.
    (cat,) = (i for i, (layer, _) in enumerate(made) if layer == "cat")
    halves = made[cat][1]
    assert len(halves) == 2
    assert made[halves[0]][1] == made[halves[1]][1]


def test_a_module_that_cannot_be_traced_is_compared_without() -> None:
    (x,) = random_inputs((4, 3, 12, 12))
    module, other = randomized(Branching()), randomized(Branching())
    _scaled("weight", "stem")(other)
    comparison = kito.compare(module, other, x)
    assert not comparison.passed
    assert comparison.departure is None
