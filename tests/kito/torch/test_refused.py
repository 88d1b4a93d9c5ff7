"""What stays as it is, with the reason, and what is refused as a whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch_modules import check_exact, random_inputs, randomized

import kito
from kito.rewrite.torch.reduce import reduce_torch

IMAGE = (2, 6, 12, 10)


def pair(conv: nn.Module | None = None, norm: nn.Module | None = None) -> Any:
    conv, norm = conv or nn.Conv2d(6, 8, 3), norm or nn.BatchNorm2d(8)
    return randomized(nn.Sequential(conv, norm, nn.ReLU()))


def reasons(reduction: Any) -> str:
    return "; ".join(f"{x.layer}: {x.reason}" for x in reduction.kept)


def test_a_norm_by_the_batch() -> None:
    reduction = check_exact(pair(norm=nn.BatchNorm2d(8, track_running_stats=False)), IMAGE, norms=1)
    assert "1: it stays as it is: it has no running statistics" in reasons(reduction)


def test_a_norm_that_trains_after_eval() -> None:
    class Stubborn(nn.BatchNorm2d):
        def train(self, mode: bool = True) -> Any:
            return super().train(True)

    module = nn.Sequential(nn.Conv2d(6, 8, 3), Stubborn(8))
    module.eval()
    reduction = reduce_torch(module, random_inputs(IMAGE))
    assert reduction.batchnorms == (1, 1)
    with torch.no_grad():
        (x,) = random_inputs(IMAGE)
        assert torch.allclose(module(x), reduction.module(x), atol=1e-5)


def test_training_true_left_on_in_a_function() -> None:
    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)

        def forward(self, x: Any) -> Any:
            x = self.conv(x)
            x = F.batch_norm(x, None, None, self.bn.weight, self.bn.bias, training=True)
            return F.dropout(x, 0.0)

    reduction = check_exact(randomized(Left()), IMAGE)
    assert "training=True" in reasons(reduction)


@pytest.mark.parametrize("place", ["0", "1"])
def test_hooks(place: str) -> None:
    module = pair()
    module.get_submodule(place).register_forward_hook(lambda m, args, out: out * 2)
    reduction = check_exact(module, IMAGE, norms=int(place))
    assert f"{place}: it stays as it is: it has hooks" in reasons(reduction)


def test_hooks_of_the_whole_module() -> None:
    module = nn.Sequential(pair(), nn.Conv2d(8, 4, 1))
    module.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    reduction = check_exact(randomized(module), IMAGE)
    assert reduction.parts == ("0",)


def test_parametrizations() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 8, 3))
    reduction = check_exact(pair(conv), IMAGE, norms=0)
    assert "it is a ParametrizedConv2d, which may compute anything" in reasons(reduction)
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 8, 3))
    check_exact(pair(conv), IMAGE, norms=0)


@pytest.mark.filterwarnings("ignore")
def test_a_weight_that_a_hook_computes() -> None:
    module = pair(nn.utils.weight_norm(nn.Conv2d(6, 8, 3)))
    with torch.no_grad():
        module(*random_inputs(IMAGE))
    check_exact(module, IMAGE, norms=0)


def test_a_replaced_forward() -> None:
    module = pair()
    conv = module[0]
    conv.forward = lambda x: nn.Conv2d.forward(conv, x) * 3
    reduction = reduce_torch(module, random_inputs(IMAGE))
    assert "its forward was replaced" in reasons(reduction)


def test_shared_weights() -> None:
    first, second = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1)
    second.weight = first.weight
    module = randomized(
        nn.Sequential(first, nn.BatchNorm2d(6), nn.ReLU(), second, nn.BatchNorm2d(6))
    )
    reduction = check_exact(module, IMAGE, norms=0)
    assert "another module shares its 'weight'" in reasons(reduction)
    reduced = reduction.module
    assert reduced.get_submodule("0").weight is reduced.get_submodule("3").weight


def test_a_weight_that_is_used_outside_of_its_module() -> None:
    class Outside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)

        def forward(self, x: Any) -> Any:
            return self.bn(self.conv(x)) * self.conv.weight.sum()

    reduction = check_exact(randomized(Outside()), IMAGE)
    assert "its 'weight' is used outside of it" in reasons(reduction)


def test_a_subclass() -> None:
    class Doubles(nn.Conv2d):
        def forward(self, input: Any) -> Any:  # noqa: A002
            return super().forward(input) * 2

    check_exact(pair(Doubles(6, 8, 3)), IMAGE)


def test_a_module_on_tensors_of_two_ranks() -> None:
    class Ranks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.bn = nn.Linear(6, 6), nn.BatchNorm1d(6)

        def forward(self, x: Any, y: Any) -> Any:
            return self.bn(self.linear(x)), self.bn(self.linear(y))

    check_exact(randomized(Ranks()), (2, 6), (2, 6, 6), norms=1)


def test_a_module_that_is_called_in_ways_that_are_described_and_not() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.bn = nn.ConvTranspose2d(6, 6, 3, 2), nn.BatchNorm2d(6)

        def forward(self, x: Any) -> Any:
            return self.bn(self.up(x)), self.up(x, output_size=[26, 22])

    reduction = check_exact(randomized(Twice()), IMAGE)
    assert {"up.weight", "up_1.weight"} <= set(reduction.module.state_dict())


WRONG: dict[str, tuple[Any, Any, str]] = {
    "not a module": (3, None, "needs a torch.nn.Module; got int"),
    "inputs": (nn.Conv2d(3, 4, 1), {"x": 1}, "a tensor, or a tuple of the positional arguments"),
    "no inputs": (nn.Linear(3, 4), None, "pass example_inputs"),
    "wrong inputs": (nn.Linear(3, 4), torch.ones(2, 5), "does not take example_inputs"),
    "no shape": (nn.LazyLinear(4), torch.ones(2, 5), "call the module once before"),
    "meta": (nn.Linear(3, 4, device="meta"), torch.ones(2, 3), "is on the meta device"),
    "wrapped": (nn.DataParallel(nn.Linear(3, 4)), torch.ones(2, 3), "pass the module in it"),
}


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_as_a_whole(name: str) -> None:
    module, inputs, words = WRONG[name]
    with pytest.raises(kito.KitoError, match=words) as caught:
        kito.reduce_torch_module(module, inputs)
    assert len(str(caught.value).splitlines()) <= 3
