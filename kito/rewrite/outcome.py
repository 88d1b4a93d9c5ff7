"""What a pass reports: the rewrites that it did, and what it had to keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kito.graph.ir import Op


@dataclass(frozen=True)
class Rewrite:
    """One thing that a pass did.

    Attributes:
        pass_name: the pass.
        layers: names of the layers that disappeared, or became others; none where only a bias did.
        into: name of the layer that does their work now, or a part of it; None where there was no
            work.
    """

    pass_name: str
    layers: tuple[str, ...]
    into: str | None = None


@dataclass(frozen=True)
class Kept:
    """One thing that a pass could not do.

    Attributes:
        layer: name of the layer that stayed.
        reason: why, in words.
    """

    layer: str
    reason: str


@dataclass
class Outcome:
    """What one pass did to one model.

    Attributes:
        rewrites: what it did.
        kept: what it could not do, by the op that is still there, or (op, layer inside of it); None
            where the pass judges no affine.
        precomputed: the ops that do the work of a BatchNormalization that is no more.
    """

    rewrites: list[Rewrite] = field(default_factory=list)
    kept: dict[Any, Kept] | None = None
    precomputed: list[Op] = field(default_factory=list)
