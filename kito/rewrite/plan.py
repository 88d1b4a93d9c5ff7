"""What a propagation plans to change, collected before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from kito.graph.ir import Node, Op
from kito.rewrite.affine import Affine
from kito.rewrite.legality import Affines
from kito.rewrite.transfer import Change


@dataclass(frozen=True)
class Absorption:
    """A layer absorbs an affine at one of its calls.

    Attributes:
        affine: what the layer absorbs.
        precedes: whether the affine comes before the layer, rather than after it.
        change: the layer's new weights and configuration.
    """

    affine: Affine
    precedes: bool
    change: Change

    def same_as(self, other: Absorption) -> bool:
        """Whether both are the same affine on the same side of the layer."""
        return self.precedes is other.precedes and self.affine.same_as(other.affine)


@dataclass
class Plan:
    """Changes of a graph that are to be made together.

    Attributes:
        absorptions: what each call absorbs.
        composed: calls that are affines, and the affines that they become.
        visited: every call that the propagation came to.
    """

    absorptions: dict[Node, Absorption] = field(default_factory=dict)
    composed: dict[Node, Affine] = field(default_factory=dict)
    visited: set[Node] = field(default_factory=set)

    def copy(self) -> Plan:
        """A copy that can be extended while this plan stays as it is."""
        return Plan(dict(self.absorptions), dict(self.composed), set(self.visited))

    def apply(self, affines: Affines) -> str | None:
        """Change the layers.

        A layer that is called at several places is changed itself only where every call of it
        absorbs the same affine. Otherwise each call that absorbs one gets a copy of the layer.

        Returns:
            The names of the absorbing layers, joined by commas; None where there is none.
        """
        by_op: dict[Op, list[Node]] = {}
        for node in self.absorptions:
            by_op.setdefault(node.op.innermost, []).append(node)
        for op, nodes in by_op.items():
            first = self.absorptions[nodes[0]]
            alike = all(
                node.op is nodes[0].op and self.absorptions[node].same_as(first) for node in nodes
            )
            if alike and set(nodes) == set(op.calls()):
                op.change(first.change.weights, first.change.config)
                continue
            for node in nodes:
                if len(node.op.innermost.calls()) > 1:
                    node.graph.give_own_copy(node)
                change = self.absorptions[node].change
                node.op.innermost.change(change.weights, change.config)
        for node, affine in self.composed.items():
            affines.alter(node, affine)
        names = dict.fromkeys(node.op.name for node in (*self.absorptions, *self.composed))
        return ", ".join(names) or None
