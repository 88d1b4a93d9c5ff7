"""Each kind of layer of PyTorch with a normalization beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch_modules import check_exact, difference, randomized

from kito.rewrite.torch.reduce import reduce_torch

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

IMAGE = (2, 6, 12, 10)

AFTER: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv1d": (nn.Sequential(nn.Conv1d(6, 8, 3, padding=1), nn.BatchNorm1d(8)), (2, 6, 9)),
    "conv2d": (nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)), IMAGE),
    "conv3d": (nn.Sequential(nn.Conv3d(2, 4, 2, bias=False), nn.BatchNorm3d(4)), (2, 2, 5, 4, 4)),
    "strides": (nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8)), IMAGE),
    "groups": (nn.Sequential(nn.Conv2d(6, 9, 3, groups=3), nn.BatchNorm2d(9)), IMAGE),
    "depthwise": (nn.Sequential(nn.Conv2d(6, 12, 3, groups=6), nn.BatchNorm2d(12)), IMAGE),
    "dilation": (nn.Sequential(nn.Conv2d(6, 8, 3, dilation=2), nn.BatchNorm2d(8)), IMAGE),
    "dilation and strides": (
        nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, dilation=2), nn.BatchNorm2d(8)),
        IMAGE,
    ),
    "same": (nn.Sequential(nn.Conv2d(6, 8, 4, padding="same"), nn.BatchNorm2d(8)), IMAGE),
    "uneven": (nn.Sequential(nn.Conv2d(6, 8, (3, 2), padding=(1, 2)), nn.BatchNorm2d(8)), IMAGE),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(6, 8, 3, 2), nn.BatchNorm2d(8)), IMAGE),
    "grouped transposed": (
        nn.Sequential(
            nn.ConvTranspose2d(6, 9, 3, 2, 1, output_padding=1, groups=3), nn.BatchNorm2d(9)
        ),
        IMAGE,
    ),
    "transposed1d": (nn.Sequential(nn.ConvTranspose1d(6, 4, 3), nn.BatchNorm1d(4)), (2, 6, 9)),
    "transposed3d": (
        nn.Sequential(nn.ConvTranspose3d(2, 4, 2, groups=2), nn.BatchNorm3d(4)),
        (2, 2, 4, 3, 3),
    ),
    "linear": (nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8)), (4, 6)),
    "linear without bias": (nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8)), (4, 6)),
    "without affine": (nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8, affine=False)), IMAGE),
    "instance norm": (
        nn.Sequential(
            nn.Conv2d(6, 8, 3), nn.InstanceNorm2d(8, affine=True, track_running_stats=True)
        ),
        IMAGE,
    ),
    "synchronized": (nn.Sequential(nn.Conv2d(6, 8, 3), nn.SyncBatchNorm(8)), IMAGE),
    "group norm": (nn.Sequential(nn.GroupNorm(3, 6), nn.BatchNorm2d(6)), IMAGE),
    "instance norm of the sample": (
        nn.Sequential(nn.InstanceNorm2d(6, affine=True), nn.BatchNorm2d(6)),
        IMAGE,
    ),
    "layer norm": (nn.Sequential(nn.LayerNorm(6), nn.BatchNorm1d(6)), (4, 6)),
    "average pooling": (
        nn.Sequential(nn.Conv2d(6, 8, 3), nn.AvgPool2d(3, 2, ceil_mode=True), nn.BatchNorm2d(8)),
        IMAGE,
    ),
    "average of real elements": (
        nn.Sequential(
            nn.Conv2d(6, 8, 3), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.BatchNorm2d(8)
        ),
        IMAGE,
    ),
    "resizing": (
        nn.Sequential(
            nn.Conv2d(6, 8, 3), nn.Upsample(scale_factor=2, mode="bilinear"), nn.BatchNorm2d(8)
        ),
        IMAGE,
    ),
    "global pooling": (
        nn.Sequential(nn.Conv2d(6, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8)),
        IMAGE,
    ),
    "flatten": (
        nn.Sequential(
            nn.Conv2d(6, 8, 3), nn.Flatten(2), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Identity()
        ),
        IMAGE,
    ),
    "reflection before": (
        nn.Sequential(
            nn.Conv2d(6, 8, 3), nn.ReflectionPad2d(1), nn.BatchNorm2d(8), nn.ReplicationPad2d(2)
        ),
        IMAGE,
    ),
}


@pytest.mark.parametrize("name", AFTER)
def test_a_normalization_after_it_is_folded(name: str) -> None:
    module, shape = AFTER[name]
    check_exact(randomized(module), shape)


BEFORE: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv2d": (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3)), IMAGE),
    "groups": (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 9, 3, groups=3, bias=False)), IMAGE),
    "linear": (nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 8)), (4, 6)),
    "reflection": (
        nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect")),
        IMAGE,
    ),
    "circular": (
        nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular")),
        IMAGE,
    ),
    "flatten": (nn.Sequential(nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(720, 4)), IMAGE),
    "pooling": (nn.Sequential(nn.BatchNorm2d(6), nn.AvgPool2d(2), nn.Conv2d(6, 8, 1)), IMAGE),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_normalization_before_it_is_folded(name: str) -> None:
    module, shape = BEFORE[name]
    check_exact(randomized(module), shape)


NOT_EXACT: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    # The zeros around the image must stay zeros.
    "padding": (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, padding=1)), IMAGE),
    "padding of one tap": (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 8, 1, padding=1)), IMAGE),
    "padding layer": (
        nn.Sequential(nn.BatchNorm2d(6), nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(6, 8, 3)),
        IMAGE,
    ),
    "padded average": (
        nn.Sequential(nn.BatchNorm2d(6), nn.AvgPool2d(3, 1, 1), nn.Conv2d(6, 8, 1)),
        IMAGE,
    ),
    "transposed": (nn.Sequential(nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 8, 3, 2)), IMAGE),
    "negative maxima": (
        nn.Sequential(nn.Conv2d(6, 8, 3), nn.MaxPool2d(2), nn.BatchNorm2d(8)),
        IMAGE,
    ),
    "activation": (nn.Sequential(nn.Conv2d(6, 8, 3), nn.SiLU(), nn.BatchNorm2d(8)), IMAGE),
    "nothing": (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6), nn.Tanh()), IMAGE),
    # A Linear works on the last axis, a BatchNorm1d of three axes on the second.
    "other axis": (nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6)), (2, 6, 5)),
}


@pytest.mark.parametrize("name", NOT_EXACT)
def test_what_cannot_be_folded_exactly_stays_exact(name: str) -> None:
    module, shape = NOT_EXACT[name]
    module = randomized(module)
    norms = sum("Norm" in type(x).__name__ for x in module.modules())
    reduction = check_exact(module, shape)
    assert len(reduction.kept) == norms


def test_a_tensor_without_a_batch() -> None:
    # The convolution has its channels on axis 0 then, and the normalization on axis 1.
    module = randomized(nn.Sequential(nn.Conv1d(6, 8, 1), nn.BatchNorm1d(8)))
    reduction = check_exact(module, (6, 8))
    assert "without an axis for the batch" in reduction.kept[-1].reason


def test_a_scale_passes_zero_padding() -> None:
    norm = nn.BatchNorm2d(6)
    module = randomized(nn.Sequential(norm, nn.Conv2d(6, 8, 3, padding=1)))
    with torch.no_grad():
        norm.running_mean.zero_()
        norm.bias.zero_()
    assert not check_exact(module, IMAGE).kept


def test_a_scale_precedes_a_grouped_transposed_convolution() -> None:
    norm = nn.BatchNorm2d(6)
    module = randomized(nn.Sequential(norm, nn.ConvTranspose2d(6, 9, 3, 2, groups=3)))
    with torch.no_grad():
        norm.running_mean.zero_()
        norm.bias.zero_()
    assert not check_exact(module, IMAGE).kept


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: Any) -> None:
    module = randomized(nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
    x = torch.ones(IMAGE)
    with torch.no_grad():
        wide = module(x)
        reduction = reduce_torch(module.to(dtype), (x.to(dtype),))
        result = reduction.module(x.to(dtype))
    assert reduction.batchnorms == (1, 0)
    assert result.dtype is dtype
    assert difference(wide, result.float()) < 0.05
