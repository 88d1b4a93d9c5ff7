"""One network of each family of timm that normalizes by the batch, and of some that do not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_modules import FLOAT32, difference
from torch_networks import build_network, calibrate

from kito.rewrite.torch.reduce import reduce_torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.filterwarnings("default"),  # of the packages themselves
]

FAMILIES = (
    *("adv_inception_v3", "cait_xxs24_224", "coatnet_nano_cc_224", "cs3darknet_focus_s", "csatv2"),
    *("dla46x_c", "dpn48b", "ecaresnext26t_32x4d", "efficientformer_l1", "efficientformerv2_s0"),
    *("efficientvim_m1", "efficientvit_b0", "efficientvit_m0", "fasternet_t0", "fastvit_t8"),
    *("halonet_h1", "hardcorenas_b", "hrnet_w18_small", "inception_next_atto", "lcnetv2_small"),
    *("legacy_seresnet18", "legacy_xception", "lowformer_b0", "mobilenetv5_base", "mobilevit_xxs"),
    *("mvitv2_tiny", "nasnetalarge", "nextvit_small", "pnasnet5large", "regnetx_002"),
    *("repghostnet_050", "repvit_m1", "res2next50", "resnest14d", "resnetv2_101", "rexnet_100"),
    *("samvit_base_patch16_224", "selecsls42", "shvit_s1", "skresnet18", "starnet_s050"),
    *("swiftformer_xs", "swin_s3_tiny_224", "tf_efficientnet_b0", "visformer_tiny", "volo_d1_224"),
)
"""The smallest network of each, without those that return NaN with random weights."""


@pytest.mark.parametrize("name", FAMILIES)
def test_no_normalization_is_left(name: str) -> None:
    module = build_network(f"timm:{name}").eval()
    images = torch.randn(2, 3, 96, 96)
    try:
        module(images)
    except Exception:  # it takes images of one size only
        images = torch.randn(2, *module.default_cfg["input_size"])  # type: ignore[index]
    calibrate(module, images)
    reduction = reduce_torch(module, images)
    assert reduction.batchnorms[1] == 0, reduction.summary()
    with torch.no_grad():
        truth = copy.deepcopy(module).double()(images.double())
        own = difference(truth, module(images).double())
        ours = difference(truth, reduction.module(images).double())
    # A deep network rounds by more than that itself, and some of them make much of it.
    assert ours <= max(FLOAT32, 4 * own)
