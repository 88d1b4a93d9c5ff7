"""The loop over all calls of a graph that folds affines until no more can be folded.

What one affine does may make room for another: a layer that is read by one call less can absorb
what follows it, say. So the sweep over all calls is repeated until it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import layers

from kito.graph.ir import Graph, Node, Op
from kito.graph.keras_internals import all_layers
from kito.rewrite.affine import Refused
from kito.rewrite.legality import Affines
from kito.rewrite.outcome import Kept, KeptAffine, Rewrite


@dataclass(frozen=True)
class Folded:
    """An affine, or a part of it, was folded.

    Attributes:
        into: names of the layers that absorbed it; None where it did nothing.
        part: ``scale`` or ``shift`` where only that was folded; None where the call is gone.
    """

    into: str | None
    part: str | None = None


Fold = Callable[[Affines, Node], Folded | None]
"""Folds the affine of one call; None where the call is no affine; raises Refused with the reason
why it cannot."""


class Sweep:
    """Folds the affines of a graph and of the models nested in it.

    Args:
        graph: the outermost graph.
        pass_name: name of the pass, for the rewrites.
        fold: folds one affine.

    Attributes:
        affines: the affines of the graph's calls.
        rewrites: what was done.
        kept: the affines that are still there, by op and layer inside of it: names may repeat in
            nested models.
    """

    def __init__(self, graph: Graph, pass_name: str, fold: Fold) -> None:
        self.graph, self.pass_name, self.fold = graph, pass_name, fold
        self.affines = Affines()
        self.rewrites: list[Rewrite] = []
        self.kept: dict[tuple[Op, Any], KeptAffine] = {}
        self._folded_parts: dict[Op, list[str]] = {}

    def run(self) -> None:
        """Sweep until nothing changes."""
        changed = True
        while changed:
            changed = False
            self.kept.clear()
            for inner in self.graph.graphs():
                for node in list(inner.nodes):
                    while node in inner.nodes and self._visit(node):
                        changed = True

    def keep(self, kept: KeptAffine) -> None:
        """Report an affine as kept; the first reason for each stays."""
        self.kept.setdefault((kept.op, kept.inner_layer), kept)

    def _visit(self, node: Node) -> bool:
        """Whether the affine of the call, or a part of it, was folded."""
        op = node.op.innermost
        name = node.op.name
        try:
            folded = self.fold(self.affines, node)
        except Refused as refusal:
            reason = "; ".join([*self._folded_parts.get(op, []), str(refusal)])
            self.keep(KeptAffine(op, Kept(name, reason)))
            return False
        if folded is None:
            for kept in _inside_closed_layer(op):
                self.keep(kept)
            return False
        if folded.part is None:
            self.rewrites.append(Rewrite(self.pass_name, (name,), folded.into))
        else:
            part = f"its {folded.part} went into {folded.into}"
            self._folded_parts.setdefault(op, []).append(part)
        return True


def _inside_closed_layer(op: Op) -> list[KeptAffine]:
    """The BatchNormalizations inside a composite layer that was not inlined."""
    if op.graph is not None or not isinstance(op.layer, layers.Layer):
        return []
    why = "" if op.closed is None else f": {op.closed}"
    where = f"it is inside '{op.name}' ({op.type_name}), a closed layer{why}"
    return [
        KeptAffine(op, Kept(layer.name, where), inner_layer=layer)
        for layer in all_layers(op.layer)
        if isinstance(layer, layers.BatchNormalization)
    ]
