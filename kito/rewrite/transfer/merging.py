"""Layers and operations that join tensors let an affine pass.

- ``s * (x + y) + t = (s * x + t) + s * y``: after a sum, the scale is hoisted to every operand and
  the shift to one of them. Before it, from one operand, only a shift can be sunk below the sum or
  moved to another operand: ``(x + t) + y = (x + y) + t = x + (y + t)``.
- ``s * (x * y) = (s * x) * y``: a scale moves to or from any one operand of a product.
- ``A(concat(x, y)) = concat(A_x(x), A_y(y))``, each with its channels of ``A``, or all of them
  where the tensors are joined along another axis. An affine of one operand is sunk with scale 1 and
  shift 0 for the channels of the others.

Each is done only where every operand that gets an affine absorbs it or lets it pass.
"""

from __future__ import annotations

import numpy as np
from keras import layers

from kito.graph.ir import Op
from kito.graph.stock import keras_name
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.transfer.arithmetic import Arithmetic
from kito.rewrite.transfer.preconditions import check_only_scale
from kito.rewrite.transfer.protocol import Site, Transfer
from kito.rewrite.transfer.registry import provide

_ADD = "ops.numpy.Add"
"""The class of ``keras.ops.add``, as :func:`kito.graph.stock.keras_name` names it."""


def _check_wide(op: Op, affine: Affine, site: Site, index: int) -> None:
    """Raise Refused where operand ``index`` is broadcast along the axis of ``affine``."""
    shape, result = site.inputs[index], site.output
    if len(shape) != len(result):
        raise Refused(f"'{op.name}' joins tensors of {len(shape)} and {len(result)} axes")
    if affine.axis is not None and shape[affine.axis] != result[affine.axis]:
        raise Refused(f"'{op.name}' repeats one of its operands along the channels")


def is_sum(op: Op) -> bool:
    """Whether the op adds its operands, and does nothing else: ``Add`` or ``keras.ops.add``."""
    kind = type(op.layer)
    return kind is layers.Add or keras_name(kind) == _ADD


class Sum(Transfer):
    """``x + y + ..``."""

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        operands = range(len(site.inputs))
        for i in operands:
            _check_wide(op, affine, site, i)
        if len(operands) == 1 and affine.scales:
            raise Refused(f"'{op.name}' adds a constant, which its scale must reach too")
        scale = affine.only_scale()
        if not (affine.shifts or affine.adds):
            return [dict.fromkeys(operands, scale)]
        return [{i: affine if i == one else scale for i in operands} for one in operands]

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        self._check_shift(op, index, affine, site)
        return affine

    def carry_across(
        self, op: Op, index: int, affine: Affine, site: Site
    ) -> list[dict[int, Affine]]:
        self._check_shift(op, index, affine, site)
        others = [i for i in range(len(site.inputs)) if i != index]
        fits = [i for i in others if site.inputs[i] == site.output]
        return [{i: affine} for i in fits]

    def _check_shift(self, op: Op, index: int, affine: Affine, site: Site) -> None:
        if affine.scales:
            raise Refused(f"'{op.name}' adds other tensors, which its scale must not reach")
        _check_wide(op, affine, site, index)


class Product(Transfer):
    """``x * y * ..``."""

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        check_only_scale(affine, f"'{op.name}' is a product, which only a scale can pass")
        ways: list[dict[int, Affine]] = []
        for i in range(len(site.inputs)):
            try:
                _check_wide(op, affine, site, i)
            except Refused:
                continue
            ways.append({i: affine})
        if not ways:
            raise Refused(f"'{op.name}' repeats its operands along the channels")
        return ways

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        check_only_scale(affine, f"'{op.name}' is a product, which only a scale can pass")
        _check_wide(op, affine, site, index)
        return affine

    def carry_across(
        self, op: Op, index: int, affine: Affine, site: Site
    ) -> list[dict[int, Affine]]:
        self.carry_down(op, index, affine, site)
        return [way for way in self.carry_up(op, affine, site) if index not in way]


class Concatenation(Transfer):
    """Tensors joined along one axis."""

    def axis(self, op: Op, site: Site) -> int:
        """The axis along which they are joined."""
        return int(op.layer.axis) % len(site.output)

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        axis = self.axis(op, site)
        if affine.axis != axis:
            return [dict.fromkeys(range(len(site.inputs)), affine)]
        sizes = self._sizes(op, site)
        ends = np.cumsum(sizes)
        way = {}
        for i, (n, end) in enumerate(zip(sizes, ends, strict=True)):
            own = slice(end - n, end)
            way[i] = Affine(affine.scale[own], affine.shift[own], axis, affine.adds)
        return [way]

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        axis = self.axis(op, site)
        if affine.axis not in (axis, None):
            raise Refused(f"'{op.name}' joins other tensors along axis {axis}")
        sizes = self._sizes(op, site)
        inside = affine.along(axis, sizes[index], op.name)
        start = sum(sizes[:index])
        scale, shift = np.ones(sum(sizes)), np.zeros(sum(sizes))
        scale[start : start + sizes[index]] = inside.scale
        shift[start : start + sizes[index]] = inside.shift
        return Affine(scale, shift, axis, affine.adds)

    def _sizes(self, op: Op, site: Site) -> list[int]:
        sizes = [shape[self.axis(op, site)] for shape in site.inputs]
        known = [n for n in sizes if n is not None]
        if len(known) != len(sizes):
            raise Refused(f"'{op.name}' joins tensors of open size")
        return known


class AddOperation(Arithmetic, Sum):
    """``x + y``: of two tensors a sum, of a tensor and a constant an affine."""


class MultiplyOperation(Arithmetic, Product):
    """``x * y``: of two tensors a product, of a tensor and a constant an affine."""


provide(Sum(), layers.Add)
provide(Product(), layers.Multiply)
provide(Concatenation(), layers.Concatenate, "ops.numpy.Concatenate")
provide(AddOperation("+"), _ADD)
provide(MultiplyOperation("*"), "ops.numpy.Multiply")
