"""The networks of KITO's own table: how many normalizations fold, and parameters before and after.

The counts are those of ``kito.reduce(model, passes=("fold_batchnorm",))`` on the network at its
default input size. A folded BatchNormalization over C channels takes away its 4C parameters (3C if
``scale=False``), and a convolution without bias gains C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from zoo import deeplab, resnet152, zf_unet


@dataclass(frozen=True)
class Network:
    """One row of the table."""

    name: str
    build: Callable[[int], keras.Model]
    """From the side of the square input images, in pixels, to the model with fresh weights."""
    folded: int
    """BatchNormalization layers that disappear."""
    parameters_before: int
    parameters_after: int
    size: int = 224
    """Side of the images for which the counts are published."""
    numeric_size: int = 128
    """Side at which outputs are compared: the weights have the same shapes and it costs less. The
    deepest feature map stays 3 x 3 or larger, since normalizing over less amplifies rounding."""


def application(name: str, **kwargs: Any) -> Callable[[int], keras.Model]:
    """The builder of a network of ``keras.applications``."""

    def build(size: int) -> keras.Model:
        factory = getattr(keras.applications, name)
        model: keras.Model = factory(weights=None, input_shape=(size, size, 3), **kwargs)
        return model

    return build


@dataclass(frozen=True)
class Reach:
    """What the default passes leave of a network that is not in the table."""

    name: str
    build: Callable[[int], keras.Model]
    precomputed: int = 0
    """BatchNormalization layers that become a Rescaling, where some gammas are negative."""
    kept: int = 0
    """Affines of any kind that stay, those included."""
    positive: bool = False
    """Whether all gammas are made positive."""
    high: float = 255.0
    """The largest value of the input images: most of these networks scale their input."""


OTHERS: tuple[Reach, ...] = (
    Reach("mobilenet_v3_small", application("MobileNetV3Small"), kept=1),
    Reach("mobilenet_v3_large", application("MobileNetV3Large"), kept=1),
    Reach("efficientnet_b0", application("EfficientNetB0")),
    Reach("efficientnet_v2_b0", application("EfficientNetV2B0"), kept=1),
    Reach("resnet50_v2", application("ResNet50V2"), precomputed=17, kept=17, high=1.0),
    # Its first shift cannot cross the zero padding before the max pooling.
    Reach(
        "resnet50_v2_positive",
        application("ResNet50V2"),
        precomputed=1,
        kept=1,
        positive=True,
        high=1.0,
    ),
)

PRECOMPUTED = {"densenet121": 62, "densenet169": 86, "densenet201": 102}
"""The same for networks of the table: the normalizations of the dense blocks' sums; else 0."""

NETWORKS: tuple[Network, ...] = (
    Network("mobilenet", application("MobileNet"), 27, 4_253_864, 4_221_032),
    Network("mobilenet_v2", application("MobileNetV2", alpha=1.4), 52, 6_156_712, 6_084_808),
    Network("resnet50", application("ResNet50"), 53, 25_636_712, 25_530_472),
    Network("inception_v3", application("InceptionV3"), 94, 23_851_784, 23_817_352, 299, 160),
    Network(
        "inception_resnet_v2",
        application("InceptionResNetV2"),
        204,
        55_873_736,
        55_813_192,
        size=299,
        numeric_size=160,
    ),
    Network("xception", application("Xception"), 40, 22_910_480, 22_828_688, size=299),
    Network("densenet121", application("DenseNet121"), 59, 8_062_504, 8_040_040),
    Network("densenet169", application("DenseNet169"), 83, 14_307_880, 14_276_200),
    Network("densenet201", application("DenseNet201"), 99, 20_242_984, 20_205_160),
    Network("nasnet_mobile", application("NASNetMobile"), 188, 5_326_716, 5_272_599),
    Network("nasnet_large", application("NASNetLarge"), 260, 88_949_818, 88_658_596, 331, 96),
    Network("zf_unet_224", lambda size: zf_unet.build(size=size), 22, 31_466_753, 31_442_689),
    Network("deeplab_mobile", deeplab.build_mobile, 54, 2_146_645, 2_097_013, size=512),
    Network("deeplab_xception", deeplab.build_xception, 146, 41_258_213, 40_954_013, 512, 160),
    Network("resnet152", resnet152.build, 155, 60_344_232, 60_117_096),
)
