"""``TimeDistributed(layer)`` does with an affine what its layer does.

The layer sees tensors without the axis of time, which is axis 1. So the axis of an affine changes
by one, and an affine along time cannot pass.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.transfer.protocol import Change, Shape, Site, Transfer
from kito.rewrite.transfer.registry import provide, transfer_of


def _inner(op: Op) -> tuple[Op, Transfer]:
    """The wrapped layer and its transfer."""
    assert op.inner is not None  # the graph gives one to every layer of this type
    return op.inner, transfer_of(op.inner)


def _inside(op: Op, affine: Affine) -> Affine:
    """``affine`` for the wrapped layer."""
    if affine.axis == 1:
        raise Refused(f"it works on axis 1, over which '{op.name}' distributes its layer")
    return affine if affine.axis is None else affine.on_axis(max(affine.axis - 1, 0))


def _outside(affine: Affine) -> Affine:
    """``affine`` of the wrapped layer, with the axis of time."""
    return affine if not affine.axis else affine.on_axis(affine.axis + 1)


def _without_time(shape: Shape) -> Shape:
    return (shape[0], *shape[2:])


def _site(site: Site) -> Site:
    return Site(tuple(_without_time(x) for x in site.inputs), _without_time(site.output))


class TimeDistributed(Transfer):
    """As the wrapped layer, on tensors without the axis of time."""

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        inner, transfer = _inner(op)
        affine = transfer.affine_at(inner, _without_time(shape))
        return None if affine is None else _outside(affine)

    def own_shift(self, op: Op, rank: int) -> Affine | None:
        inner, transfer = _inner(op)
        shift = transfer.own_shift(inner, rank - 1)
        return None if shift is None else _outside(shift)

    def own_affine(self, op: Op, rank: int) -> Affine | None:
        inner, transfer = _inner(op)
        own = transfer.own_affine(inner, rank - 1)
        return None if own is None else _outside(own)

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        inner, transfer = _inner(op)
        return transfer.absorb_following(inner, _inside(op, affine), rank - 1)

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        inner, transfer = _inner(op)
        return transfer.absorb_preceding(inner, _inside(op, affine), rank - 1)

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        inner, transfer = _inner(op)
        ways = transfer.carry_up(inner, _inside(op, affine), _site(site))
        return [{i: _outside(x) for i, x in way.items()} for way in ways]

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        inner, transfer = _inner(op)
        return _outside(transfer.carry_down(inner, index, _inside(op, affine), _site(site)))


provide(TimeDistributed(), layers.TimeDistributed)
