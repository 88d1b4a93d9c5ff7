"""The layers that compute blocks, and put them where they belong in the result.

A convolution of stride 1 returns (*blocks, *factors * filters): its channels are the outputs of a
block. They are dealt out to the positions, axis by axis, and the outputs before and after the
result are cropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import layers

from kito.graph.ir import Op, Tensor
from kito.rewrite.convolution import Window
from kito.rewrite.passes.move_upsampling.blocks import Axis

_PADDING = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
_CROPPING = {1: layers.Cropping1D, 2: layers.Cropping2D, 3: layers.Cropping3D}
Shape = tuple[int | None, ...]
Step = tuple[Op, Shape]
"""What is called, and the shape that it returns, without the axis of the samples."""


def steps_of(part: Op, axes: Sequence[Axis], source: Tensor, name: str) -> list[Step]:
    """What is called in a row, from the tensor to the convolution of its copies.

    Args:
        part: the convolution, which has its new kernel, and gets the configuration for it.
        axes: the spatial axes.
        source: the tensor, of which the channels are the last axis.
        name: that of the last layer.
    """
    kernel = part.weight("kernel")
    assert kernel is not None
    *window, _, filters = kernel.shape
    zeros = [x.zeros for x in axes]
    same = zeros == [Window(x.taps, 1, 1).same(x.size) for x in axes]
    config = {"filters": filters, "kernel_size": tuple(window)}
    part.change({}, {**config, "padding": "same" if same else "valid"})
    steps: list[Step] = []
    if not same:
        pad = _around(_PADDING, zeros, source.dtype, f"{name}_pad")
        sizes = (x.size + sum(x.zeros) for x in axes)
        steps.append((Op(pad, pad.name), (*sizes, source.shape[-1])))
    steps.append((part, (*(x.blocks for x in axes), filters)))
    surplus = [x.surplus for x in axes]
    crops = any(map(sum, surplus))
    steps += _dealt(axes, filters, source.dtype, f"{name}_joined" if crops else name)
    if crops:
        crop = _around(_CROPPING, surplus, source.dtype, name)
        sizes = (x.size * x.factor for x in axes)
        steps.append((Op(crop, crop.name), (*sizes, steps[-1][1][-1])))
    return steps


def _around(kinds: dict[int, Any], amounts: list[tuple[int, int]], dtype: str, name: str) -> Any:
    """A padding or cropping layer for as many axes as there are amounts."""
    rank = len(amounts)
    return kinds[rank](amounts[0] if rank == 1 else tuple(amounts), dtype=dtype, name=name)


def _dealt(axes: Sequence[Axis], channels: int, dtype: str, name: str) -> list[Step]:
    """From (*blocks, *factors * filters) to (blocks * factor of each axis, filters)."""
    rank, factors = len(axes), [x.factor for x in axes]
    filters = channels // math.prod(factors)
    steps: list[Step] = []
    if any(x > 1 for x in factors[:-1]):
        apart = (*(x.blocks for x in axes), *factors, filters)
        order = [*(axis for i in range(rank) for axis in (i, rank + i)), 2 * rank]
        reshape = layers.Reshape(apart, dtype=dtype, name=f"{name}_apart")
        permutation = tuple(axis + 1 for axis in order)
        permute = layers.Permute(permutation, dtype=dtype, name=f"{name}_dealt")
        steps = [
            (Op(reshape, reshape.name), apart),
            (Op(permute, permute.name), tuple(apart[axis] for axis in order)),
        ]
    joined = (*(x.blocks * x.factor for x in axes), filters)
    reshape = layers.Reshape(joined, dtype=dtype, name=name)
    return [*steps, (Op(reshape, reshape.name), joined)]
