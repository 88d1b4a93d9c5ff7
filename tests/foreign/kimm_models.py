"""The models of kimm: the smallest of each family, without trained weights.

But VGG: it takes 224 pixels and 133 million parameters, and the other packages have it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kimm
from kimm._src.models import (
    convmixer,
    convnext,
    densenet,
    inception_next,
    repvgg,
    vision_transformer,
)

from foreign.entry import Foreign

LOGITS: dict[str, Any] = {"weights": None, "classes": 10, "classifier_activation": "linear"}


def _kimm(name: str, side: int = 64, **kwargs: Any) -> Foreign:
    def build() -> Any:
        return getattr(kimm.models, name)(
            input_shape=(side, side, 3), weights=None, classes=10, classifier_activation="linear"
        )

    return Foreign(name, "kimm", build, high=255.0, **kwargs)


def _sized(family: Callable[..., Any], *, side: int = 64, **kwargs: Any) -> Foreign:
    """A family whose smallest model is large, with fewer blocks and channels."""

    def build() -> Any:
        return family(input_shape=(side, side, 3), **LOGITS, **kwargs)

    name = getattr(family, "__name__", "")
    return Foreign(name, "kimm", build, high=255.0, note="with fewer layers and channels")


def _extractor(name: str) -> Foreign:
    """A model that gives a dict of its stages beside the classes."""

    def build() -> Any:
        return getattr(kimm.models, name)(
            input_shape=(64, 64, 3),
            weights=None,
            classes=10,
            classifier_activation="linear",
            feature_extractor=True,
        )

    # Of so many outputs, one has a ratio of rounding errors beyond the judge's by chance.
    return Foreign(f"{name}_features", "kimm", build, high=255.0, reference=None)


KIMM: tuple[Foreign, ...] = (
    _sized(convmixer.ConvMixer, depth=4, hidden_channels=32),
    _sized(convnext.ConvNeXt, depths=[2, 2, 2, 2], hidden_channels=[16, 24, 32, 48]),
    _sized(densenet.DenseNet, num_blocks=[2, 2, 2, 2]),
    _kimm("EfficientNetB0"),
    _kimm("EfficientNetLiteB0"),
    _kimm("EfficientNetV2B0"),
    _kimm("TinyNetE"),
    _kimm("GhostNetW050"),
    _kimm("GhostNetV2W100"),
    _kimm("GhostNetV3W050"),
    _kimm("HGNetTiny"),
    _kimm("HGNetV2B0"),
    _sized(inception_next.InceptionNeXt, depths=[2, 2, 2, 2], hidden_channels=[16, 24, 32, 48]),
    _kimm("InceptionV3", side=96),
    _kimm("LCNet035"),
    _kimm("MobileNetV2W050"),
    _kimm("MobileNetV3W050Small"),
    _kimm("MobileNetV3W100SmallMinimal"),
    _kimm("MobileOneS0"),
    _kimm("MobileViTXXS", side=128),
    _kimm("MobileViTV2W050", side=128),
    _kimm("RegNetX002"),
    _kimm("RegNetY002"),
    _sized(repvgg.RepVGG, num_blocks=[1, 2, 2, 1], num_channels=[16, 24, 32, 48]),
    _kimm("ResNet18"),
    _sized(vision_transformer.VisionTransformer, patch_size=16, embed_dim=32, depth=2, num_heads=2),
    _kimm("Xception", side=96),
    _extractor("MobileNetV2W050"),
    _extractor("LCNet035"),
)
