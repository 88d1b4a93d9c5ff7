"""What a transfer is: the answers of one layer family to an affine; and the registry of them.

Types are looked up exactly: a subclass may compute anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kito.graph.ir import Node, Op, Tensor
from kito.rewrite.affine import Affine, Refused

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Change:
    """New weights, by variable name, and new constructor arguments of a layer."""

    weights: Mapping[str, np.ndarray]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """One place where a layer is called.

    Attributes:
        inputs: the shapes of the tensors that it takes, the batch included, None where open.
        output: the shape of its result.
    """

    inputs: tuple[Shape, ...]
    output: Shape


class NotCarried(Refused):
    """No affine can pass: the layer type has no rule for it."""


class Transfer:
    """What one layer family can do with an affine. By default: nothing, and it says so.

    Derive from it to teach the core a layer of your own, and :func:`register` the result. In every
    method ``op`` is the layer: ``op.layer`` to be read, ``op.weight(name)`` for its weights. A
    method that cannot do exactly what it is asked raises :class:`kito.Refused` with the reason.
    """

    def affine(self, op: Op, rank: int) -> Affine | None:
        """The affine that the layer is in inference, on a tensor of ``rank`` axes; or None."""
        return None

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        """The same on a tensor of ``shape``, where the sizes of its axes matter."""
        return self.affine(op, len(shape))

    def affine_of_call(self, node: Node) -> Affine | None:
        """The same for one call, where its arguments matter."""
        return None if node.data is None else self.affine_at(node.op, node.data.shape)

    def scaled_operand(self, op: Op) -> tuple[int, Affine] | None:
        """For a sum of two tensors that scales one of them first: which one, and its affine."""
        return None

    def own_shift(self, op: Op, rank: int) -> Affine | None:
        """The bias that the layer adds last, on an output of ``rank`` axes; None where it has none.

        It is dropped by ``use_bias=False``, so that another layer can have it.
        """
        return None

    def own_affine(self, op: Op, rank: int) -> Affine | None:
        """The affine that the layer ends with, on an output of ``rank`` axes; None where with none.

        ``scale=False`` drops its scale, ``center=False`` its shift, so that another layer can have
        them.
        """
        return None

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        """The change that makes the layer compute ``affine(layer(x))``.

        Args:
            op: the layer.
            affine: what follows it; ``affine.along(axis, channels, op.name)`` for its vectors.
            rank: number of axes of the layer's output, the batch included.
        """
        raise Refused(f"no affine can be folded into '{op.name}' ({op.type_name})")

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        """The change that makes the layer compute ``layer(affine(x))``.

        Args:
            op: the layer.
            affine: what precedes it.
            rank: number of axes of the layer's input, the batch included.
        """
        raise Refused(f"no affine can be folded into '{op.name}' ({op.type_name})")

    def absorb_operands(self, node: Node, tensor: Tensor, affine: Affine) -> Change:
        """The change with which a call does without the ``affine`` in ``tensor``.

        For layers of several operands: ``tensor`` may be any of them, and more than one.
        """
        raise NotCarried(f"'{node.op.name}' takes several tensors")

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        """The ways in which ``affine(layer(x, ..))`` is ``layer(of affines of x, ..)``.

        Returns:
            Alternatives; each says which inputs get which affine, by their number.
        """
        raise NotCarried(f"no affine can pass '{op.name}' ({op.type_name})")

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        """The affine ``B`` with ``layer(.., affine(x), ..) = B(layer(.., x, ..))``.

        Args:
            op: the layer.
            index: which of its inputs ``x`` is.
            affine: what precedes that input.
            site: the shapes.
        """
        raise NotCarried(f"no affine can pass '{op.name}' ({op.type_name})")

    def carry_across(
        self, op: Op, index: int, affine: Affine, site: Site
    ) -> list[dict[int, Affine]]:
        """The ways in which another input can have the affine of input ``index`` instead."""
        return []
