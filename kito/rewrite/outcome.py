"""What a pass reports: the rewrites that it did, and the affines that it had to keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kito.graph.ir import Op


@dataclass(frozen=True)
class Rewrite:
    """One thing that a pass did.

    Attributes:
        pass_name: name of the pass.
        layers: names of the layers that were removed or replaced; empty where only a bias was.
        into: names of the layers that do their work now, or a part of it, joined by commas; None
            where there was no work to do.
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


@dataclass(frozen=True)
class KeptAffine:
    """A :class:`Kept`, and where in the graph it is.

    Attributes:
        op: the op that is the affine, or that holds the layer which is.
        kept: what is reported, as long as the graph still calls ``op``.
        inner_layer: the layer inside a closed composite layer that is the affine; None where ``op``
            is the affine itself.
    """

    op: Op
    kept: Kept
    inner_layer: Any = None


@dataclass
class Outcome:
    """What one pass did to one model.

    Attributes:
        rewrites: what it did.
        kept: every affine that it could not fold; None for a pass that folds no affines.
        precomputed: the ops that took the place of a BatchNormalization that could not be folded.
    """

    rewrites: list[Rewrite] = field(default_factory=list)
    kept: list[KeptAffine] | None = None
    precomputed: list[Op] = field(default_factory=list)


def size_rows(reduction: Any) -> list[tuple[str, str, str]]:
    """The sizes of a reduction as the rows of a table for people, headings first."""
    names = ("layers", "parameters", "batchnorms")
    pairs = [(name, getattr(reduction, name)) for name in names]
    return [("", "before", "after"), *((name, f"{a:,}", f"{b:,}") for name, (a, b) in pairs)]
