"""Every model of keras.applications, at a size as small as it accepts.

The widest have fewer channels, made with the general function of their family: the same layers in
the same order, but weights that fit into little memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src.applications import convnext, efficientnet, efficientnet_v2, nasnet

from foreign.entry import Foreign
from zoo.networks import application

CLASSES = 10


def _as_it_is(name: str, size: int = 32, *, high: float = 255.0, **kwargs: Any) -> Foreign:
    """A model with all its channels, for ten classes."""
    build = application(name, classes=CLASSES, classifier_activation=None)
    return Foreign(name, "keras.applications", lambda: build(size), high=high, **kwargs)


def _deeper(name: str, **kwargs: Any) -> Foreign:
    """One with more of the same blocks: float64 judges only what exceeds the default tolerance."""
    return _as_it_is(name, reference=None, **kwargs)


def _without_top(name: str) -> Foreign:
    """A model without its Dense layers, most of its weights."""
    build = application(name, include_top=False, pooling="avg")
    return Foreign(name, "keras.applications", lambda: build(32), high=1.0)


def _narrow(
    name: str, build: Callable[..., Any], *args: Any, size: int = 32, **kwargs: Any
) -> Foreign:
    """A model with a part of its channels, for images of this size."""

    def narrow() -> Any:
        return build(
            *args,
            weights=None,
            classes=CLASSES,
            classifier_activation=None,
            input_shape=(size, size, 3),
            name=name,
            **kwargs,
        )

    return Foreign(
        name,
        "keras.applications",
        narrow,
        high=255.0,
        reference=None,
        note="with fewer channels" if "convnext" not in name else "with fewer layers and channels",
    )


def _convnext(size: str) -> Foreign:
    """A part of the blocks too: TensorFlow compiles each of its grouped convolutions."""
    config = convnext.MODEL_CONFIGS[size]
    depths = [max(depth // 9, 1) for depth in config["depths"]]
    channels = [width // 8 for width in config["projection_dims"]]
    return _narrow(f"convnext_{size}", convnext.ConvNeXt, depths, channels)


def _efficientnet(name: str, depth: float, size: int = 32) -> Foreign:
    return _narrow(name, efficientnet.EfficientNet, 0.25, depth, 32, size=size)


def _efficientnet_v2(name: str, depth: float = 1.0) -> Foreign:
    return _narrow(name, efficientnet_v2.EfficientNetV2, 0.25, depth, 32)


APPLICATIONS: tuple[Foreign, ...] = (
    _convnext("tiny"),
    _convnext("small"),
    _convnext("base"),
    _convnext("large"),
    _convnext("xlarge"),
    _as_it_is("DenseNet121"),
    _deeper("DenseNet169"),
    _deeper("DenseNet201"),
    _as_it_is("EfficientNetB0"),
    _deeper("EfficientNetB1"),
    _deeper("EfficientNetB2"),
    _efficientnet("efficientnetb3", 1.4),
    _efficientnet("efficientnetb4", 1.8),
    _efficientnet("efficientnetb5", 2.2),
    _efficientnet("efficientnetb6", 2.6),
    # With smaller images, rounding grows too much from block to block.
    _efficientnet("efficientnetb7", 3.1, 64),
    _as_it_is("EfficientNetV2B0"),
    _deeper("EfficientNetV2B1"),
    _deeper("EfficientNetV2B2"),
    _efficientnet_v2("efficientnetv2-b3", 1.4),
    _efficientnet_v2("efficientnetv2-s"),
    _efficientnet_v2("efficientnetv2-m"),
    _efficientnet_v2("efficientnetv2-l"),
    _as_it_is("InceptionResNetV2", 96, high=1.0),
    _as_it_is("InceptionV3", 96, high=1.0),
    _as_it_is("MobileNet", high=1.0),
    _as_it_is("MobileNetV2", high=1.0),
    _as_it_is("MobileNetV3Large"),
    _as_it_is("MobileNetV3Small"),
    _narrow(
        "NASNetLarge",
        nasnet.NASNet,
        penultimate_filters=192,
        num_blocks=6,
        stem_block_filters=16,
        default_size=32,
    ),
    _as_it_is("NASNetMobile", high=1.0),
    _as_it_is("ResNet50", high=1.0),
    _deeper("ResNet101", high=1.0),
    _deeper("ResNet152", high=1.0),
    _as_it_is("ResNet50V2", high=1.0),
    _deeper("ResNet101V2", high=1.0),
    _deeper("ResNet152V2", high=1.0),
    _without_top("VGG16"),
    _without_top("VGG19"),
    _as_it_is("Xception", 96, high=1.0),
)
