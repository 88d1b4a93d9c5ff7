"""Small models of stock layers, and others that compute the same, for the topic ``layers``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers as L  # noqa: N812

from benchmarks.layer_case import Case, Weights, case, chain, listed, times


def depthwise(size: int, channels: int, kernel: int, multiplier: int = 1, **more: Any) -> Case:
    filters = channels * multiplier
    more = {"padding": "same", **more}
    return case(
        f"Conv2D {kernel} x {kernel}, groups == channels -> DepthwiseConv2D, "
        f"{size} x {size} x {channels}, {listed(multiplier=multiplier, **more)}",
        (size, size, channels),
        [L.Conv2D(filters, kernel, groups=channels, **more)],
        [L.DepthwiseConv2D(kernel, depth_multiplier=multiplier, **more)],
        lambda w: [w[0].reshape(kernel, kernel, channels, multiplier), *w[1:]],
    )


def depthwise_1d(size: int, channels: int, kernel: int) -> Case:
    return case(
        f"Conv1D {kernel}, groups == channels -> DepthwiseConv1D, {size} x {channels}",
        (size, channels),
        [L.Conv1D(channels, kernel, padding="same", groups=channels)],
        [L.DepthwiseConv1D(kernel, padding="same")],
        lambda w: [w[0].reshape(kernel, channels, 1), w[1]],
    )


def split(size: int, channels: int, groups: int, kernel: int, whole: bool = False) -> Case:
    """Plain convolutions side by side, or, ``whole``, one with zeros between the groups."""
    shape, each = (size, size, channels), channels // groups
    start = keras.Input(shape)
    parts = keras.ops.split(start, groups, axis=-1)
    joined = L.Concatenate()([L.Conv2D(each, kernel, padding="same")(x) for x in parts])

    def cut(w: Weights) -> Weights:
        cuts = (slice(i * each, (i + 1) * each) for i in range(groups))
        return [x for cut in cuts for x in (w[0][..., cut], w[1][cut])]

    def fill(w: Weights) -> Weights:
        wide = np.zeros((kernel, kernel, channels, channels), "float32")
        for i in range(groups):
            own = slice(i * each, (i + 1) * each)
            wide[:, :, own, own] = w[0][..., own]
        return [wide, w[1]]

    return Case(
        f"Conv2D {kernel} x {kernel} of {groups} groups -> "
        f"{'one with zeros' if whole else 'one of each'}, {size} x {size} x {channels}",
        chain(shape, L.Conv2D(channels, kernel, padding="same", groups=groups)),
        chain(shape, L.Conv2D(channels, kernel, padding="same"))
        if whole
        else keras.Model(start, joined),
        fill if whole else cut,
        "no" if whole else None,
    )


def resizing(size: int, channels: int, factor: int) -> Case:
    return case(
        f"UpSampling2D({factor}) -> Resizing, {size} x {size} x {channels}",
        (size, size, channels),
        [L.UpSampling2D(factor)],
        [L.Resizing(size * factor, size * factor, "nearest")],
    )


def bare(shape: tuple[int, ...], units: int) -> Case:
    return case(
        f"LayerNormalization, Dense({units}) -> no gamma and beta, {times(shape)}",
        shape,
        [L.LayerNormalization(), L.Dense(units)],
        [L.LayerNormalization(center=False, scale=False), L.Dense(units)],
        lambda w: [w[2] * w[0][:, None], w[3] + w[1] @ w[2]],
    )


def bare_alone(shape: tuple[int, ...], kept: str) -> Case:
    """The normalization alone, with a scale of 1 or a shift of 0 that need not be computed."""
    original = chain(shape, L.LayerNormalization())
    config = {"scale": kept == "gamma", "center": kept == "beta"}
    keep = {"gamma": slice(0, 1), "beta": slice(1, 2), "nothing": slice(0)}[kept]
    return Case(
        f"LayerNormalization alone -> with {kept}, {times(shape)}",
        original,
        chain(shape, L.LayerNormalization(**config)),
        lambda w: w[keep],
        "where the rest can go",
    )


def bare_attention(steps: int, channels: int, heads: int) -> Case:
    def model(**config: bool) -> keras.Model:
        start = keras.Input((steps, channels))
        x = L.LayerNormalization(**config)(start)
        return keras.Model(start, L.MultiHeadAttention(heads, channels // heads)(x, x))

    def convert(w: Weights) -> Weights:
        gamma, beta, *rest = w
        for i in (0, 2, 4):  # query, key, value
            rest[i + 1] = rest[i + 1] + np.tensordot(beta, rest[i], 1)
            rest[i] = rest[i] * gamma[:, None, None]
        return rest

    return Case(
        f"LayerNormalization, MultiHeadAttention({heads}) -> no gamma and beta, "
        f"{steps} x {channels}",
        model(),
        model(center=False, scale=False),
        convert,
    )


def transposed(size: int, channels: int, filters: int, stride: int) -> Case:
    """Windows that do not overlap: a Dense layer whose units are then placed side by side."""
    wide = (size, size, stride, stride, filters)
    return case(
        f"Conv2DTranspose({filters}, {stride}, {stride}) -> Dense, Reshape, Permute, Reshape, "
        f"{size} x {size} x {channels}",
        (size, size, channels),
        [L.Conv2DTranspose(filters, stride, stride, use_bias=False)],
        [
            L.Dense(stride * stride * filters, use_bias=False),
            L.Reshape(wide),
            L.Permute((1, 3, 2, 4, 5)),
            L.Reshape((size * stride, size * stride, filters)),
        ],
        lambda w: [np.moveaxis(w[0], -1, 0).reshape(channels, -1)],
    )


def dilated(size: int, channels: int, rate: int) -> Case:
    wide = 2 * rate + 1

    def spread(w: Weights) -> Weights:
        kernel = np.zeros((wide, wide, channels, 1), "float32")
        kernel[::rate, ::rate] = w[0]
        return [kernel, w[1]]

    return case(
        f"DepthwiseConv2D 3 x 3, dilation {rate} -> {wide} x {wide} with zeros, "
        f"{size} x {size} x {channels}",
        (size, size, channels),
        [L.DepthwiseConv2D(3, padding="same", dilation_rate=rate)],
        [L.DepthwiseConv2D(wide, padding="same")],
        spread,
    )


def others() -> Iterator[Case]:
    """One of each replacement that was measured and that the pass does not make."""
    yield transposed(28, 128, 64, 2)
    yield transposed(56, 64, 32, 2)
    yield transposed(14, 128, 32, 4)
    yield dilated(33, 256, 2)
    yield case(
        "AveragePooling2D of the whole map -> GlobalAveragePooling2D, 7 x 7 x 512",
        (7, 7, 512),
        [L.AveragePooling2D(7)],
        [L.GlobalAveragePooling2D(keepdims=True)],
    )
    yield case(
        "AveragePooling2D(2) -> DepthwiseConv2D, 28 x 28 x 256",
        (28, 28, 256),
        [L.AveragePooling2D(2)],
        [L.DepthwiseConv2D(2, 2, use_bias=False)],
        lambda w: [np.full((2, 2, 256, 1), 0.25, "float32")],
    )
    yield case(
        "AveragePooling2D(1, 2), Conv2D 1 x 1 -> Conv2D 1 x 1, strides 2, 56 x 56 x 64",
        (56, 56, 64),
        [L.AveragePooling2D(1, 2), L.Conv2D(64, 1)],
        [L.Conv2D(64, 1, 2)],
    )
    yield case(
        "Conv2D 1 x 1 of one pixel -> Dense, 1 x 1 x 960",
        (1, 1, 960),
        [L.Conv2D(240, 1)],
        [L.Reshape((960,)), L.Dense(240), L.Reshape((1, 1, 240))],
        lambda w: [w[0][0, 0], w[1]],
    )
    yield case(
        "Dense of a map -> Conv2D 1 x 1, 56 x 56 x 96",
        (56, 56, 96),
        [L.Dense(384)],
        [L.Conv2D(384, 1)],
        lambda w: [w[0][None, None], w[1]],
    )
    yield case(
        "Conv2D of the whole map -> Dense, 7 x 7 x 64",
        (7, 7, 64),
        [L.Conv2D(256, 7)],
        [L.Flatten(), L.Dense(256), L.Reshape((1, 1, 256))],
        lambda w: [w[0].reshape(-1, 256), w[1]],
    )
    yield case(
        "SeparableConv2D -> DepthwiseConv2D, Conv2D, 28 x 28 x 128",
        (28, 28, 128),
        [L.SeparableConv2D(128, 3, padding="same")],
        [L.DepthwiseConv2D(3, padding="same", use_bias=False), L.Conv2D(128, 1)],
    )
    yield case(
        "EinsumDense -> Dense, 197 x 384",
        (197, 384),
        [L.EinsumDense("abc,cd->abd", (197, 384), bias_axes="d")],
        [L.Dense(384)],
    )


def _depthwise() -> Iterator[Case]:
    yield depthwise(56, 96, 7)
    yield depthwise(7, 768, 7)
    yield depthwise(28, 32, 3, strides=2)
    yield depthwise(28, 32, 3, dilation_rate=2)
    yield depthwise(28, 32, 3, multiplier=2)
    yield depthwise(28, 32, 1)
    yield depthwise_1d(256, 96, 7)


def _normalization() -> Iterator[Case]:
    yield bare((56, 56, 96), 384)
    yield bare((197, 384), 384)
    yield bare((64, 128), 16)
    yield bare_attention(197, 192, 3)
    for kept in ("nothing", "beta", "gamma"):
        yield bare_alone((56, 56, 96), kept)


def _groups(whole: bool) -> Iterator[Case]:
    sizes = [(56, 48, 2, 3), (28, 120, 5, 3), (7, 888, 37, 3), (56, 128, 32, 3), (7, 64, 8, 1)]
    for size in sizes:
        yield split(*size, whole=whole)


def _resizing() -> Iterator[Case]:
    for size in ((56, 64, 2), (28, 256, 2), (14, 64, 4), (32, 64, 2), (28, 32, 2), (14, 8, 2)):
        yield resizing(*size)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "depthwise": _depthwise,
    "normalization": _normalization,
    "groups apart": lambda: _groups(whole=False),
    "groups with zeros": lambda: _groups(whole=True),
    "resizing": _resizing,
    "others": others,
}
"""All cases, by the cells of the topic; each is built when it is asked for."""
