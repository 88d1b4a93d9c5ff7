"""Whole networks of torchvision and timm: the families that a model repository holds."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_modules import FLOAT32, FLOAT64, difference
from torch_networks import build_network, calibrate

from kito.rewrite.torch.reduce import reduce_torch

pytestmark = pytest.mark.filterwarnings("default")  # of the packages themselves

NETWORKS = (
    *("torchvision:vgg11_bn", "torchvision:resnet18", "torchvision:resnet50"),
    *("torchvision:mobilenet_v3_small", "torchvision:densenet121"),
    *("torchvision:regnet_y_400mf", "timm:efficientnet_b0"),
    *("timm:seresnet50", "timm:repvgg_a0", "timm:convnext_atto"),
    "timm:tf_mobilenetv3_small_100",  # paddings that depend on the size of the image
)
MORE = (
    *("torchvision:efficientnet_b0", "timm:mobilenetv3_small_100", "timm:regnety_002"),
    *("timm:legacy_seresnet50", "timm:dpn68", "timm:mobileone_s0"),
)
"""Of the same families, or slower."""


@pytest.mark.parametrize(
    "name", [*NETWORKS, *(pytest.param(x, marks=pytest.mark.slow) for x in MORE)]
)
def test_no_normalization_is_left(name: str) -> None:
    module = build_network(name)
    images = torch.randn(4, 3, 96, 96)
    calibrate(module, images)
    reduction = reduce_torch(module, images[:2])
    assert reduction.batchnorms[1] == 0
    wide, doubles = copy.deepcopy(module).double(), images.double()
    exact = reduce_torch(wide, doubles[:2]).module
    with torch.no_grad():
        truth = wide(doubles)
        spread = (truth - truth.mean(0)).abs().max() / truth.abs().max()
        assert spread > 0.1  # else nothing would be compared
        assert difference(truth, exact(doubles)) <= FLOAT64
        # A deep network rounds by more than that itself.
        own = difference(truth, module(images).double())
        assert difference(truth, reduction.module(images).double()) <= max(FLOAT32, 2 * own)
