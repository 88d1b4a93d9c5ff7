"""What a pass reports: the rewrites that it did, and what it had to keep."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rewrite:
    """One thing that a pass did.

    Attributes:
        pass_name: the pass.
        layers: names of the layers that disappeared.
        into: name of the layer that does their work now; None where there was no work.
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
    """What one pass did to one model; ``kept`` is None where the pass judges no affine."""

    rewrites: list[Rewrite] = field(default_factory=list)
    kept: list[Kept] | None = None
