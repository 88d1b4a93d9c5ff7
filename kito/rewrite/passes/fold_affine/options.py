"""The ways to split an affine into what is hoisted, what is sunk and what remains.

With ``A(x) = s * x + t``: ``A = (x + t) after s * x``, so the scale may be hoisted and the shift
sunk. Also ``A = s * (x + t / s)``, so that the shift ``t / s`` comes first: then the shift may be
hoisted and the scale sunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kito.rewrite.affine import Affine, Refused


@dataclass(frozen=True)
class Option:
    """One split of an affine.

    Attributes:
        hoisted: what the layers before it absorb; None for nothing.
        sunk: what the layers after it absorb; None for nothing.
        remainder: what stays in its place; None where the call is removed.
        part: name of the part that leaves, ``scale`` or ``shift``; None where all of it does.
    """

    hoisted: Affine | None = None
    sunk: Affine | None = None
    remainder: Affine | None = None
    part: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the affine moves unsplit."""
        return self.part is None and (self.hoisted is None or self.sunk is None)


def options(affine: Affine) -> Iterator[Option]:
    """Every split of ``affine``, the best first: without a remainder, then with one."""
    yield Option(hoisted=affine)
    yield Option(sunk=affine)
    if affine.cost < 2:
        return
    scale, shift = affine.only_scale(), affine.only_shift()
    try:
        shift_first = affine.shift_first()
    except Refused:
        shift_first = None
    yield Option(hoisted=scale, sunk=shift)
    if shift_first is not None:
        yield Option(hoisted=shift_first, sunk=scale)
    yield Option(hoisted=scale, remainder=shift, part="scale")
    yield Option(sunk=shift, remainder=scale, part="shift")
    if shift_first is not None:
        yield Option(sunk=scale, remainder=shift_first, part="scale")
        yield Option(hoisted=shift_first, remainder=scale, part="shift")
