"""What there is to report of a reduction, in the order in which it was done."""

from __future__ import annotations

from dataclasses import dataclass, field

from kito.rewrite.outcome import Kept, Rewrite

Counts = tuple[int, int, int, int]
"""How many rewrites, kept layers and parts were noted, and how many precomputed affines."""


@dataclass
class Notes:
    """The attributes of :class:`~kito.rewrite.torch.reduce.TorchReduction` with these names."""

    rewrites: list[Rewrite] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    precomputed: int = 0

    def counts(self) -> Counts:
        return len(self.rewrites), len(self.kept), len(self.parts), self.precomputed

    def forget(self, since: Counts, until: Counts) -> None:
        """Leave out what was noted between two moments, of what was undone."""
        del self.rewrites[since[0] : until[0]]
        del self.kept[since[1] : until[1]]
        del self.parts[since[2] : until[2]]
        self.precomputed -= until[3] - since[3]
