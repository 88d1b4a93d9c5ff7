"""Layers that only move elements: Flatten, Reshape, Permute and RepeatVector.

``layer(s * x + t) = layer(s) * layer(x) + layer(t)``, with ``s`` and ``t`` broadcast to the shape
of ``x``: each element keeps its scale and shift. An affine passes where these again depend on one
axis of the result only.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np
from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.transfer.pass_through import Through
from kito.rewrite.transfer.protocol import Shape, Site
from kito.rewrite.transfer.registry import provide

_LARGEST_SPREAD = 1 << 22
"""The largest tensor, in elements, whose elements are followed one by one."""


class Layout(Through, abc.ABC):
    """Layers that move elements without changing them."""

    def passed(self, op: Op, affine: Affine, site: Site, hoisting: bool) -> Affine:
        if affine.axis is None:
            return affine
        start, end = (site.output, site.inputs[0]) if hoisting else (site.inputs[0], site.output)
        return self.follow(op, affine, start, end, hoisting)

    @abc.abstractmethod
    def follow(self, op: Op, affine: Affine, start: Shape, end: Shape, hoisting: bool) -> Affine:
        """``affine``, given for a tensor of shape ``start``, for the same elements in ``end``."""


class Permute(Layout):
    """Axis i of the result is axis ``dims[i - 1]`` of the input."""

    def follow(self, op: Op, affine: Affine, start: Shape, end: Shape, hoisting: bool) -> Affine:
        order = (0, *op.layer.dims)
        assert affine.axis is not None
        return affine.on_axis(order[affine.axis] if hoisting else order.index(affine.axis))


class RepeatVector(Layout):
    """(batch, channels) becomes (batch, n, channels)."""

    def follow(self, op: Op, affine: Affine, start: Shape, end: Shape, hoisting: bool) -> Affine:
        if affine.axis != len(start) - 1:
            raise Refused(f"it works on axis {affine.axis}, along which '{op.name}' repeats")
        return affine.on_axis(len(end) - 1)


class Reshape(Layout):
    """The same elements, in row-major order, in another shape."""

    def follow(self, op: Op, affine: Affine, start: Shape, end: Shape, hoisting: bool) -> Affine:
        return _reshaped(op, affine, start[1:], end[1:])


class Flatten(Layout):
    """As Reshape, after Keras has moved the channels of ``channels_first`` to the last axis."""

    def follow(self, op: Op, affine: Affine, start: Shape, end: Shape, hoisting: bool) -> Affine:
        if not is_channels_first(op.layer) or len(end if hoisting else start) < 3:
            return _reshaped(op, affine, start[1:], end[1:])
        if hoisting:
            moved = (end[0], *end[2:], end[1])
            there = _reshaped(op, affine, start[1:], moved[1:])
            last = there.axis == len(moved) - 1
            return there.on_axis(1 if last or there.axis is None else there.axis + 1)
        assert affine.axis is not None
        moved = (start[0], *start[2:], start[1])
        there = affine.on_axis(len(start) - 1 if affine.axis == 1 else affine.axis - 1)
        return _reshaped(op, there, moved[1:], end[1:])


def _reshaped(op: Op, affine: Affine, start: Shape, end: Shape) -> Affine:
    """Follow every element from its place in ``start`` to that in ``end``, without the batch."""
    if any(n is None for n in (*start, *end)):
        raise Refused(f"'{op.name}' reshapes a tensor of open size")
    full = tuple(n for n in start if n is not None)
    if math.prod(full) > _LARGEST_SPREAD:
        raise Refused(f"'{op.name}' reshapes more elements than are followed one by one")
    assert affine.axis is not None
    broad = [1] * len(full)
    broad[affine.axis - 1] = len(affine.scale)

    def spread(vector: Any) -> Any:
        return np.broadcast_to(vector.reshape(broad), full).reshape(end)

    scale, shift = spread(affine.scale), spread(affine.shift)
    for axis in reversed(range(len(end))):  # the channels are last in most tensors
        vectors = [np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (scale, shift)]
        if all(np.array_equal(x, np.broadcast_to(x[:, :1], x.shape)) for x in vectors):
            return Affine.of(vectors[0][:, 0], vectors[1][:, 0], axis + 1, affine.adds)
    raise Refused(f"'{op.name}' reshapes its channels so that they lie on several axes")


provide(Permute(), layers.Permute)
provide(RepeatVector(), layers.RepeatVector)
provide(Reshape(), layers.Reshape)
provide(Flatten(), layers.Flatten)
