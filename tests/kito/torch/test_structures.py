"""Networks around the layers: branches, repeated calls, functions, memory, and traces in parts."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch_modules import Calls, check_exact, difference, random_inputs, randomized

import kito
from kito.rewrite.torch.reduce import reduce_torch

IMAGE = (2, 6, 12, 10)


def calls(forward: Callable[[Any, Any], Any]) -> nn.Module:
    return randomized(Calls(forward))


def in_place_residual(m: Any, x: Any) -> Any:
    y = m.relu(m.bn(m.conv(x)))
    z = m.bn2(m.conv2(y))
    z += y
    return m.relu(z)


@dataclass
class Outputs(OrderedDict):  # type: ignore[type-arg]
    """As the outputs of Transformers: a dict whose keys are attributes, too."""

    logits: Any = None
    hidden: Any = None

    def __post_init__(self) -> None:
        self.update({"logits": self.logits} if self.hidden is None else vars(self))


WHOLE: dict[str, Callable[[Any, Any], Any]] = {
    "residual around it": in_place_residual,
    "residual of the input": lambda m, x: m.bn(m.conv(x)) + x,
    "functions": lambda m, x: F.relu(
        F.batch_norm(
            F.conv2d(x, m.conv.weight, m.conv.bias, padding=1),
            m.bn.running_mean,
            m.bn.running_var,
            m.bn.weight,
            m.bn.bias,
            False,
            0.1,
            m.bn.eps,
        ),
        inplace=True,
    ),
    "function without bias": lambda m, x: F.batch_norm(
        F.conv2d(x, m.conv.weight, padding=1), m.bn.running_mean, m.bn.running_var
    ),
    "same call twice": lambda m, x: m.bn(m.conv(x)) * m.bn(m.conv(x.relu())),
    "conv shared, norms not": lambda m, x: m.bn(m.conv(x)) * m.bn2(m.conv(x.relu())),
    "gate": lambda m, x: m.bn(m.conv(x)) * m.conv2(x.mean((2, 3), keepdim=True)).sigmoid(),
    "joined": lambda m, x: m.bn2(m.conv2(torch.cat([m.conv(x), x.relu()], 1)[:, 3:9])),
    "joined channels": lambda m, x: m.bn(torch.cat([m.conv(x)[:, :2], m.conv2(x)[:, 2:]], 1)),
    "scalars": lambda m, x: 3 * (m.bn(m.conv(x)) / 2 - 1.5) + (-m.conv2(x)),
    "constants": lambda m, x: m.bn(m.conv(x)) * torch.arange(10) + torch.eye(10)[:1],
    "sizes": lambda m, x: m.bn(m.conv(x)).view(x.shape[0], 2, -1, x.shape[2]).sum(2),
    "rank": lambda m, x: _of_rank(m.bn(m.conv(x))),
    "asked sizes of what is gone": lambda m, x: _with_size(m.conv(x), m.bn),
    "structure of outputs": lambda m, x: {"a": m.bn(m.conv(x)), "b": (x, [m.conv2(x).relu()])},
    "ordered dict": lambda m, x: OrderedDict(b=m.bn(m.conv(x)), a=[OrderedDict(c=m.conv2(x))]),
    "dict with attributes": lambda m, x: Outputs(m.bn(m.conv(x)), None),
    "twice in a sum": lambda m, x: _doubled(m.bn(m.conv(x))),
    "transposed and back": lambda m, x: m.bn(
        m.conv(x).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    ),
    "order of memory": lambda m, x: m.bn(m.conv(x).transpose(2, 3)).view(-1, 3, 2, 120).sum(1),
    "order of memory made": lambda m, x: m.conv2(
        m.bn(m.conv(x)).transpose(1, 2).contiguous().view(2, 12, 60).view(-1, 6, 12, 10)
    ),
    "shuffled channels": lambda m, x: m.bn(
        m.conv(x).reshape(-1, 2, 3, 12, 10).transpose(1, 2).reshape(-1, 6, 12, 10)
    ),
}


def _of_rank(x: Any) -> Any:
    torch._assert(x.dim() == 4, "needs images")
    return x


def _with_size(x: Any, bn: Any) -> Any:
    return F.interpolate(bn(x), size=x.shape[2:], mode="nearest")


def _doubled(x: Any) -> Any:
    return x + x


KEPT = ("joined channels", "shuffled channels", "constants")


@pytest.mark.parametrize("name", WHOLE)
def test_a_network_stays_the_same(name: str) -> None:
    reduction = check_exact(calls(WHOLE[name]), IMAGE, norms=0)
    assert len(reduction.kept) == (name in KEPT), reduction.summary()


def test_what_reads_a_tensor_before_a_norm_keeps_its_values() -> None:
    # The ReLU would change the result of the convolution in place, which the sum reads too.
    def forward(m: Any, x: Any) -> Any:
        y = m.conv(x)
        return m.conv2(m.relu(m.bn(y))) + y

    module = calls(forward)
    with torch.no_grad():  # positive scales and no shift pass the ReLU into the second convolution
        module.bn.weight.abs_().add_(0.1)
        module.bn.bias.zero_()
        module.bn.running_mean.zero_()
    reduction = check_exact(module, IMAGE)
    assert reduction.kept == ()


def test_an_identity_before_a_change_in_place_leaves_its_input_alone() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.conv(x)
        z = F.relu(m.bn2(m.conv2(y.clone())), inplace=True)
        return z + m.relu(F.dropout(x, training=False) * 1.0), x

    check_exact(calls(forward), IMAGE)


def test_a_change_in_place_that_is_seen_later_keeps_the_module_as_it_is() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.bn(m.conv(x))
        return m.relu(y) + y  # both are the result of the ReLU

    reduction = check_exact(calls(forward), IMAGE, norms=2)
    assert "in place" in reduction.kept[0].reason


def test_an_element_that_is_set_keeps_the_module_as_it_is() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.conv(x)
        z = m.bn(y)
        z[:, 0] = 0.0
        return z

    check_exact(calls(forward), IMAGE, norms=2)


def test_names_in_the_state_stay() -> None:
    module = randomized(
        nn.Sequential(
            nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)),
            nn.ReLU(),
            nn.Sequential(nn.Conv2d(8, 4, 3), nn.GroupNorm(2, 4)),
        )
    )
    reduced = check_exact(module, IMAGE).module
    names = {f"{layer}.{x}" for layer in ("0.0", "2.0", "2.1") for x in ("weight", "bias")}
    assert set(reduced.state_dict()) == names
    assert type(reduced).__name__ == "Sequential"


def test_flags_and_memory_of_weights_stay() -> None:
    module = randomized(nn.Sequential(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8)))
    module = module.to(memory_format=torch.channels_last)
    module[0].weight.requires_grad_(False)
    (reduced,) = reduce_torch(module, random_inputs(IMAGE)).module.children()
    assert reduced.weight.is_contiguous(memory_format=torch.channels_last)
    assert not reduced.weight.requires_grad
    check_exact(module, IMAGE)


def test_the_result_can_be_copied_saved_and_exported(tmp_path: Any) -> None:
    module = calls(in_place_residual)
    reduced = kito.reduce_torch_module(module, random_inputs(IMAGE))
    x = random_inputs(IMAGE)[0]
    torch.save(reduced, tmp_path / "reduced.pt")
    loaded = torch.load(tmp_path / "reduced.pt", weights_only=False)
    with torch.no_grad():
        for other in (copy.deepcopy(reduced), loaded, torch.export.export(reduced, (x,)).module()):
            assert difference(reduced(x), other(x)) < 1e-6


# ---- in parts ----------------------------------------------------------------------------------


class Branching(nn.Module):
    """Control flow that depends on data, around a block."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)) for _ in range(2)
        )
        self.bn = nn.BatchNorm2d(6)

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            if float(x.abs().sum()) >= 0:
                x = block(x)
        return self.bn(x)


def test_the_parts_of_an_untraceable_module_are_reduced() -> None:
    reduction = check_exact(randomized(Branching()), IMAGE, norms=1)
    assert reduction.parts == ("blocks.0", "blocks.1")
    assert isinstance(reduction.module, Branching)


def test_the_parts_of_an_untraceable_module_inside_are_reduced() -> None:
    module = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), Branching(), nn.BatchNorm2d(6))
    reduction = check_exact(randomized(module), IMAGE, norms=1)
    assert reduction.parts == ("2.blocks.0", "2.blocks.1")


def test_parts_whose_weights_are_used_elsewhere_stay() -> None:
    class Reuses(Branching):
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            return F.conv2d(y, self.blocks[0].get_submodule("0").weight)

    reduction = check_exact(randomized(Reuses()), IMAGE, norms=3)
    assert reduction.parts == ()


def test_arguments_with_defaults() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8))

        def forward(self, x: Any, scale: Any = None, flag: bool = False) -> Any:
            x = self.net(x) if not flag else x
            return x if scale is None else x * scale

    reduced = check_exact(randomized(Optional()), IMAGE).module
    assert list(inspect.signature(reduced.forward).parameters) == ["x", "scale", "flag"]
    (x,) = random_inputs(IMAGE)
    assert torch.equal(reduced(x, flag=False), reduced(x))
    with pytest.raises(AssertionError, match="flag has been specialized to have value False"):
        reduced(x, flag=True)
    check_exact(randomized(Optional()), IMAGE, (2, 8, 1, 1))


def test_other_batches_and_sizes() -> None:
    module = randomized(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
        )
    )
    reduced = kito.reduce_torch_module(module)  # it makes images of its own
    (x,) = random_inputs((5, 3, 33, 21))
    with torch.no_grad():
        assert difference(module(x), reduced(x)) < 5e-5


# ---- arguments and attributes ------------------------------------------------------------------


@pytest.mark.parametrize("flag", [True, False, None, "no"])
def test_flags_among_the_example_inputs(flag: Any) -> None:
    class Flagged(Calls):
        def forward(self, x: Any, flag: Any, scale: float = 2.0) -> Any:
            y = self.bn(self.conv(x))
            return (y if flag is None or flag == "no" else self.bn2(y) if flag else -y) * scale

    module = randomized(Flagged(lambda m, x: x))
    (x,) = random_inputs(IMAGE)
    reduction = reduce_torch(module, (x, flag))
    assert reduction.batchnorms[1] == 0
    with torch.no_grad():
        assert difference(module(x, flag), reduction.module(x, flag)) < 5e-5
    with pytest.raises(AssertionError, match="flag has been specialized"):
        reduction.module(x, "yes")


class Asks(nn.Module):
    """Control flow that depends on the size, around a part that it asks for more than outputs."""

    def __init__(self, asked: Callable[[Any], int]) -> None:
        super().__init__()
        self.part = calls(lambda m, x: m.bn(m.conv(x)))
        self.part.window, self.part.names = 7, ["a", ("b", 2)]
        self.asked = asked

    def forward(self, x: Any) -> Any:
        y = self.part(x)
        return y * self.asked(self.part) if x.shape[2] > 5 else y


def test_attributes_of_data_stay() -> None:
    module = Asks(lambda part: part.window).eval()
    reduction = check_exact(module, IMAGE)
    assert reduction.parts == ("part",)
    module.part.endless = []
    module.part.endless.append(module.part.endless)
    part = kito.reduce_torch_module(module.part, random_inputs(IMAGE))
    for other in (part, copy.deepcopy(part)):
        assert (other.window, other.names) == (7, ["a", ("b", 2)])
        assert not hasattr(other, "body")
        assert not hasattr(other, "endless")


@pytest.mark.parametrize(
    "asked",
    [
        lambda part: len(list(part.named_buffers())),
        lambda part: part.seen,
        lambda part: part.count(),
    ],
)
def test_a_part_that_is_asked_for_more_stays(asked: Callable[[Any], int]) -> None:
    def body(m: Any, x: Any) -> Any:
        m.seen = x.shape[2]
        return m.bn(m.conv(x))

    module = Asks(asked)
    module.part.body = body
    reduction = check_exact(module.eval(), IMAGE, norms=2)
    assert reduction.parts == ()
    assert "stay" in reduction.kept[-1].reason
    (x,) = random_inputs((1, 6, 8, 8))
    assert torch.equal(module(x), reduction.module(x))


# ---- rounding ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [2e4, 1e5])
def test_a_variance_that_is_small_beside_the_mean_makes_much_of_rounding(mean: float) -> None:
    # The normalization of the original is exact: it takes one integer from another.
    module = nn.Sequential(nn.BatchNorm2d(1, eps=0.0), nn.Conv2d(1, 1, 1)).eval()
    with torch.no_grad():
        module[0].running_mean.fill_(mean)
        module[1].weight.fill_(0.577)
        module[1].bias.fill_(0.1)
    x = torch.randint(-2, 3, (4, 1, 5, 5), generator=torch.Generator().manual_seed(0)) + mean
    reduction = reduce_torch(module, x)
    with torch.no_grad():
        assert difference(module(x), reduction.module(x)) < 1e-3
    if mean == 1e5:
        assert "by rounding alone" in reduction.kept[0].reason
    assert reduction.batchnorms == (1, int(mean == 1e5))


# ---- other passes ------------------------------------------------------------------------------


class Parallel(nn.Module):
    """The sum of convolutions of the same image, each with a normalization."""

    def __init__(self, *convolutions: nn.Module, identity: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(x, nn.BatchNorm2d(6)) for x in convolutions)
        self.identity = nn.BatchNorm2d(6) if identity else None

    def forward(self, x: Any) -> Any:
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total if self.identity is None else total + self.identity(x)


def counted(module: nn.Module) -> int:
    return sum(isinstance(x, nn.Conv2d) for x in module.modules())


def test_branches_become_one_convolution() -> None:
    module = Parallel(nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1), identity=True)
    assert counted(check_exact(randomized(module), IMAGE).module) == 1
    module = Parallel(nn.Conv2d(6, 6, 3, 2, 1, groups=2), nn.Conv2d(6, 6, 1, 2, groups=2))
    assert counted(check_exact(randomized(module), IMAGE).module) == 1


def test_branches_stay_that_differ_in_size_for_other_images() -> None:
    # Equal for an even height. For 3 rows the first has 2 and the second has 1, which is repeated.
    module = Parallel(nn.Conv2d(6, 6, 3, 2, 1), nn.Conv2d(6, 6, (2, 2), 2))
    reduced = check_exact(randomized(module), IMAGE).module
    (x,) = random_inputs((1, 6, 3, 3))
    with torch.no_grad():
        assert difference(module(x), reduced(x)) < 5e-5


def test_two_linear_layers_become_one() -> None:
    module = nn.Sequential(nn.Conv2d(6, 16, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 4, 1), nn.ReLU())
    reduced = check_exact(randomized(module), IMAGE).module
    assert counted(reduced) == 1


def test_a_module_without_its_own_state_in_the_trace() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6))
            self.last: Any = None

        def forward(self, x: Any) -> Any:
            self.last = self.net(x)
            return self.last * float(self.last.sum() != 0)

    reduction = check_exact(randomized(Keeps()), IMAGE)
    assert reduction.parts == ("net",)
    assert isinstance(reduction.module.last, torch.Tensor)


def test_a_module_that_counts_its_calls() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return self.net(x) * self.calls

    module = randomized(Counts())
    reduced = reduce_torch(module, random_inputs(IMAGE)).module
    (x,) = random_inputs(IMAGE)
    with torch.no_grad():
        for _ in range(2):
            assert difference(module(x), reduced(x)) < 5e-5


def test_a_precision_that_a_forward_chooses() -> None:
    class Autocasts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6))

        def forward(self, x: Any) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.net(x)

    module = randomized(Autocasts())
    reduction = reduce_torch(module, random_inputs(IMAGE))
    with torch.no_grad():
        (x,) = random_inputs(IMAGE)
        assert difference(module(x), reduction.module(x)) < 0.05


def test_a_part_that_is_called_with_keywords() -> None:
    class Keyword(Branching):
        def forward(self, x: Any) -> Any:
            if float(x.abs().sum()) < 0:
                return x
            return self.blocks[1](input=self.blocks[0](x))

    assert check_exact(randomized(Keyword()), IMAGE, norms=2).parts == ("blocks.0",)


def test_a_module_that_never_returns_the_same() -> None:
    class Clock(nn.Module):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x * self.calls

    assert isinstance(reduce_torch(Clock(), random_inputs(IMAGE)).module, Clock)


def test_a_network_that_makes_much_of_a_rounding() -> None:
    class Chaotic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6))

        def forward(self, x: Any) -> Any:
            return torch.sin(self.net(x) * 1e5)

    assert reduce_torch(randomized(Chaotic()), random_inputs(IMAGE)).batchnorms == (1, 0)
