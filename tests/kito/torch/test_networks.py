"""Whole networks of torchvision and timm, without weights, with the statistics of training."""

from __future__ import annotations

import copy
import importlib

import pytest
import torch
from torch import nn
from torch_modules import FLOAT32, FLOAT64, difference

from kito.rewrite.torch.reduce import reduce_torch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

NETWORKS = (
    *("torchvision:vgg11_bn", "torchvision:resnet18", "torchvision:resnet50"),
    *("torchvision:mobilenet_v3_small", "torchvision:densenet121"),
    *("torchvision:regnet_y_400mf", "torchvision:efficientnet_b0"),
    *("timm:seresnet50", "timm:legacy_seresnet50", "timm:mobilenetv3_small_100"),
    *("timm:regnety_002", "timm:efficientnet_b0", "timm:repvgg_a0"),
)


def build(name: str) -> nn.Module:
    package, _, kind = name.partition(":")
    try:
        module = importlib.import_module(package)
    except Exception as error:  # a build for another PyTorch fails in its own way
        pytest.skip(f"{package} cannot be imported: {error}")
    torch.manual_seed(0)
    if package == "timm":
        return module.create_model(kind)  # type: ignore[no-any-return]
    return module.models.get_model(kind, weights=None)  # type: ignore[no-any-return]


def calibrate(module: nn.Module, images: torch.Tensor) -> None:
    """Random gammas and betas, and the statistics of ``images``; in eval mode."""
    norms = [x for x in module.modules() if isinstance(x, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(torch.rand_like(norm.weight) + 0.5)
            norm.weight[::5] *= -1
            norm.bias.copy_(torch.randn_like(norm.bias) * 0.3)
            norm.reset_running_stats()
            norm.momentum = None  # the statistics of the one batch
        module.eval()
        for norm in norms:
            norm.train()
        module(images)
    module.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_normalization_is_left(name: str) -> None:
    module = build(name)
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
