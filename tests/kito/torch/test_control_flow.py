"""Forwards with control flow that is the same for all inputs, or is not."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch_forwards as forwards
from torch import nn
from torch_modules import Calls, check_exact, difference, random_inputs, randomized

from kito.rewrite.torch.reduce import reduce_torch

IMAGE = (2, 6, 12, 10)


@pytest.mark.parametrize("name", forwards.WHOLE)
def test_control_flow_that_is_the_same_for_all_inputs(name: str) -> None:
    module = randomized(Calls(forwards.WHOLE[name]))
    reduction = check_exact(module, IMAGE)
    assert reduction.parts == ()
    assert reduction.kept == (), reduction.summary()
    for shape in ((1, 6, 32, 14), (3, 6, 6, 9)):  # and for other sizes
        (x,) = random_inputs(shape)
        with torch.no_grad():
            assert difference(module(x), reduction.module(x)) < 5e-5


@pytest.mark.parametrize("name", forwards.IN_PARTS)
def test_control_flow_that_depends_on_sizes_stays(name: str) -> None:
    module = randomized(Calls(forwards.IN_PARTS[name]))
    reduction = check_exact(module, IMAGE, norms=2)
    assert "cannot trace it" in reduction.kept[0].reason
    if name != "either":
        (x,) = random_inputs((1, 6, 9, 9))
        assert torch.equal(module(x), reduction.module(x))


def test_control_flow_after_a_module_that_may_return_anything_stays() -> None:
    after = Calls(lambda m, x: m.bn2(m.conv2(x)) if x.dim() == 4 else x)
    reduction = check_exact(
        randomized(nn.Sequential(Calls(forwards.squeezed), after)), IMAGE, norms=4
    )
    assert [x.layer for x in reduction.kept] == ["0", "1"]


def test_axes_of_what_is_given_in_a_list_are_not_known() -> None:
    module = Calls(lambda m, x: m.bn(m.conv(x[0])) if x[0].dim() == 4 else m.bn2(x[0]))
    (x,) = random_inputs(IMAGE)
    reduction = reduce_torch(randomized(module), ([x],))
    assert "cannot trace it" in reduction.kept[0].reason


def test_another_number_of_axes_is_an_error() -> None:
    module = randomized(Calls(forwards.WHOLE["images or one"]))
    for shape, other in ((IMAGE, IMAGE[1:]), (IMAGE[1:], IMAGE)):
        (x,), (y,) = random_inputs(shape), random_inputs(other)
        reduced = reduce_torch(module, x).module
        with torch.no_grad():
            assert difference(module(x), reduced(x)) < 5e-5
            assert module(y).ndim == 4
        with pytest.raises(AssertionError, match=f"'x' must have {len(shape)} axes, as in exampl"):
            reduced(y)


@pytest.mark.parametrize(
    "name, shape, line",
    [
        ("asserted", (2, 7, 12, 10), 'assert x.shape[1] == 6, "six channels"'),
        ("asserted not", (2, 6, 13, 10), "assert not x.shape[2] % 2"),
        ("asserted both", (2, 6, 13, 10), "assert x.dim() == 4 and x.shape[2] % 2 == 0"),
    ],
)
def test_an_assertion_still_holds(name: str, shape: tuple[int, ...], line: str) -> None:
    module = randomized(Calls(forwards.WHOLE[name]))
    reduced = reduce_torch(module, random_inputs(IMAGE)).module
    (x,) = random_inputs(shape)
    with pytest.raises(AssertionError) as caught:
        reduced(x)
    assert str(caught.value).startswith(line)
    with pytest.raises(AssertionError):
        module(x)


@pytest.mark.parametrize("name", ["asserted both", "same padding"])
def test_such_a_module_can_be_exported_and_compiled(name: str) -> None:
    module = randomized(Calls(forwards.WHOLE[name]))
    (x,) = random_inputs(IMAGE)
    reduced = reduce_torch(module, x).module
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler
        compiled = torch.compile(reduced, backend="eager", fullgraph=True)
        for other in (compiled, torch.export.export(reduced, (x,)).module()):
            assert difference(reduced(x), other(x)) < 1e-6
