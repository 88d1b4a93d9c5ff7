"""DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611) with its two usual backbones, 21 classes.

As in the well known Keras port of the published TensorFlow models: ``mobile`` has MobileNetV2 at
output stride 8 and only the image-level and 1 x 1 branches of the pyramid, no decoder; ``xception``
has the modified, aligned Xception at output stride 16, the whole pyramid (rates 6, 12, 18) and the
decoder that joins the features of stride 4. All convolutions but the last have no bias. Both end in
logits of the input's size. Bilinear resizing is the stock layer (half-pixel centres), where the
original aligned corners: no weight and no fold depends on it.

``mobile``: 54 BatchNormalization over 16,544 channels, 2,146,645 -> 2,097,013 parameters.
``xception``: 146 BatchNormalization over 101,400 channels, 41,258,213 -> 40,954,013 parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

CLASSES = 21
PYRAMID_FILTERS = 256

# MobileNetV2 (arXiv:1801.04381, table 2) for dense prediction: (expansion, filters, strides, rate)
# of each inverted residual; what would stride beyond 8 dilates the later ones instead.
MOBILE_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 24, 1, 1),
    (6, 32, 2, 1),
    (6, 32, 1, 1),
    (6, 32, 1, 1),
    (6, 64, 1, 1),
    (6, 64, 1, 2),
    (6, 64, 1, 2),
    (6, 64, 1, 2),
    (6, 96, 1, 2),
    (6, 96, 1, 2),
    (6, 96, 1, 2),
    (6, 160, 1, 2),
    (6, 160, 1, 4),
    (6, 160, 1, 4),
    (6, 320, 1, 4),
)


def build_mobile(size: int = 512) -> keras.Model:
    """Images ``(batch, size, size, 3)`` -> logits ``(batch, size, size, 21)``.

    ``size`` is in pixels, a multiple of 8; it changes no weight's shape.
    """
    image = layers.Input((size, size, 3), name="image")
    x = _conv_bn(image, 32, 3, "stem", strides=2, epsilon=1e-3)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    for index, (expansion, filters, strides, rate) in enumerate(MOBILE_BLOCKS):
        x = _inverted_residual(x, expansion, filters, strides, rate, f"block{index}")
    x = _pyramid(x, rates=())
    return keras.Model(image, _logits(x, size), name="deeplab_mobile")


def build_xception(size: int = 512) -> keras.Model:
    """Images ``(batch, size, size, 3)`` -> logits ``(batch, size, size, 21)``.

    ``size`` is in pixels, a multiple of 16; it changes no weight's shape.
    """
    image = layers.Input((size, size, 3), name="image")
    x = _conv_bn_relu(image, 32, 3, "stem1", strides=2, epsilon=1e-3)
    x = _conv_bn_relu(x, 64, 3, "stem2", epsilon=1e-3)
    x, _ = _xception_block(x, (128, 128, 128), "entry1", shortcut="conv", strides=2)
    x, skip = _xception_block(x, (256, 256, 256), "entry2", shortcut="conv", strides=2)
    x, _ = _xception_block(x, (728, 728, 728), "entry3", shortcut="conv", strides=2)
    for index in range(16):
        x, _ = _xception_block(x, (728, 728, 728), f"middle{index}", shortcut="sum")
    x, _ = _xception_block(x, (728, 1024, 1024), "exit1", shortcut="conv")
    x, _ = _xception_block(x, (1536, 1536, 2048), "exit2", shortcut="none", rate=2, inner_relu=True)
    x = _pyramid(x, rates=(6, 12, 18))
    return keras.Model(image, _logits(_decoder(x, skip), size), name="deeplab_xception")


def _inverted_residual(
    x: keras.KerasTensor, expansion: int, filters: int, strides: int, rate: int, name: str
) -> keras.KerasTensor:
    """Expand (unless by 1), filter each channel, project; added to the input where shapes allow."""
    inputs, channels = x, x.shape[-1]
    if expansion != 1:
        x = _conv_bn(x, expansion * channels, 1, f"{name}_expand", epsilon=1e-3)
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = _depthwise_bn(x, f"{name}_depthwise", strides=strides, rate=rate, epsilon=1e-3)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = _conv_bn(x, filters, 1, f"{name}_project", epsilon=1e-3)
    if strides == 1 and filters == channels:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _xception_block(
    x: keras.KerasTensor,
    filters: Sequence[int],
    name: str,
    *,
    shortcut: str,
    strides: int = 1,
    rate: int = 1,
    inner_relu: bool = False,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Three separable convolutions, the last with the strides; and what the second one gave.

    ``shortcut``: "conv" adds the projected input, "sum" the input itself, "none" nothing.
    """
    inputs = x
    outputs = []
    for index, count in enumerate(filters):
        x = _separable(
            x,
            count,
            f"{name}_sep{index}",
            strides=strides if index == len(filters) - 1 else 1,
            rate=rate,
            epsilon=1e-3,
            inner_relu=inner_relu,
        )
        outputs.append(x)
    if shortcut == "conv":
        inputs = _conv_bn(inputs, filters[-1], 1, f"{name}_shortcut", strides=strides, epsilon=1e-3)
    if shortcut != "none":
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x, outputs[1]


def _pyramid(x: keras.KerasTensor, rates: Sequence[int]) -> keras.KerasTensor:
    """Atrous spatial pyramid pooling: image level, 1 x 1 and one dilated branch for each rate."""
    height, width = x.shape[1:3]
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="pyramid_pool")(x)
    pooled = _conv_bn_relu(pooled, PYRAMID_FILTERS, 1, "pyramid_image", epsilon=1e-5)
    pooled = layers.Resizing(height, width, name="pyramid_image_resize")(pooled)
    branches = [pooled, _conv_bn_relu(x, PYRAMID_FILTERS, 1, "pyramid_point", epsilon=1e-5)]
    for rate in rates:
        branches.append(
            _separable(
                x,
                PYRAMID_FILTERS,
                f"pyramid_rate{rate}",
                rate=rate,
                epsilon=1e-5,
                inner_relu=True,
            )
        )
    x = layers.Concatenate(name="pyramid_concat")(branches)
    x = _conv_bn_relu(x, PYRAMID_FILTERS, 1, "pyramid_project", epsilon=1e-5)
    return layers.Dropout(0.1, name="pyramid_dropout")(x)


def _decoder(x: keras.KerasTensor, skip: keras.KerasTensor) -> keras.KerasTensor:
    """The pyramid at the skip's size, joined with the skip reduced to 48 channels."""
    height, width = skip.shape[1:3]
    x = layers.Resizing(height, width, name="decoder_resize")(x)
    skip = _conv_bn_relu(skip, 48, 1, "decoder_skip", epsilon=1e-5)
    x = layers.Concatenate(name="decoder_concat")([x, skip])
    for index in range(2):
        x = _separable(x, 256, f"decoder_sep{index}", epsilon=1e-5, inner_relu=True)
    return x


def _logits(x: keras.KerasTensor, size: int) -> keras.KerasTensor:
    x = layers.Conv2D(CLASSES, 1, name="logits")(x)
    return layers.Resizing(size, size, name="logits_resize")(x)


def _separable(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    *,
    strides: int = 1,
    rate: int = 1,
    epsilon: float,
    inner_relu: bool = False,
) -> keras.KerasTensor:
    """Depthwise 3 x 3, then 1 x 1, each normalized; ReLU after each (``inner_relu``) or before."""
    if not inner_relu:
        x = layers.Activation("relu", name=f"{name}_relu")(x)
    x = _depthwise_bn(x, f"{name}_depthwise", strides=strides, rate=rate, epsilon=epsilon)
    if inner_relu:
        x = layers.Activation("relu", name=f"{name}_depthwise_relu")(x)
        return _conv_bn_relu(x, filters, 1, f"{name}_point", epsilon=epsilon)
    return _conv_bn(x, filters, 1, f"{name}_point", epsilon=epsilon)


def _depthwise_bn(
    x: keras.KerasTensor, name: str, *, strides: int, rate: int, epsilon: float
) -> keras.KerasTensor:
    """A strided one pads by hand, alike on both sides, whatever the parity of the size."""
    if strides > 1:
        x = layers.ZeroPadding2D(rate, name=f"{name}_pad")(x)
    x = layers.DepthwiseConv2D(
        3,
        strides=strides,
        dilation_rate=rate,
        padding="valid" if strides > 1 else "same",
        use_bias=False,
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(epsilon=epsilon, name=f"{name}_bn")(x)


def _conv_bn(
    x: keras.KerasTensor, filters: int, kernel: int, name: str, *, strides: int = 1, epsilon: float
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(epsilon=epsilon, name=f"{name}_bn")(x)


def _conv_bn_relu(
    x: keras.KerasTensor, filters: int, kernel: int, name: str, *, strides: int = 1, epsilon: float
) -> keras.KerasTensor:
    x = _conv_bn(x, filters, kernel, name, strides=strides, epsilon=epsilon)
    return layers.Activation("relu", name=f"{name}_relu")(x)
