"""The interface of a transfer: what the layers of one family can do with an affine ``A``.

A layer may be an affine itself, absorb one before or after it, or let one pass.
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
    """What changes in a layer that absorbs an affine.

    Attributes:
        weights: new values of its weights, by variable name.
        config: new values of its constructor arguments.
    """

    weights: Mapping[str, np.ndarray]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """One place where a layer is called.

    Attributes:
        inputs: the shapes of the tensors that it takes, the batch included; open sizes are None.
        output: the shape of its result.
    """

    inputs: tuple[Shape, ...]
    output: Shape


class NotCarried(Refused):
    """The layer type has no rule by which an affine could pass."""


class Transfer:
    """What the layers of one family can do with an affine; by default nothing.

    To support a layer of your own, derive a class from it and pass an instance to
    :func:`kito.register`. In every method ``op`` stands for the layer: read ``op.layer``, and get
    the weights by ``op.weight(name)``. A method that cannot do exactly what it is asked raises
    :class:`kito.Refused` with the reason.
    """

    def affine(self, op: Op, rank: int) -> Affine | None:
        """The affine that the layer computes in inference; None where it computes something else.

        Args:
            op: the layer.
            rank: number of axes of its input, the batch included.
        """
        return None

    def affine_at(self, op: Op, shape: Shape) -> Affine | None:
        """The affine that the layer computes on a tensor of ``shape``; None as for :meth:`affine`.

        Override it instead of :meth:`affine` where the sizes of the axes matter.
        """
        return self.affine(op, len(shape))

    def affine_of_call(self, node: Node) -> Affine | None:
        """The affine that one call computes; None where it computes something else.

        Override it instead of :meth:`affine` where the arguments of the call matter.
        """
        return None if node.data is None else self.affine_at(node.op, node.data.shape)

    def scaled_operand(self, op: Op) -> tuple[int, Affine] | None:
        """For a sum of two tensors that scales one of them: the index of that one, and its affine.

        None for every other layer.
        """
        return None

    def own_shift(self, op: Op, rank: int) -> Affine | None:
        """The bias that the layer adds last, as an affine on an output of ``rank`` axes.

        ``use_bias=False`` must drop it, so that another layer can absorb it. None where the layer
        has no such bias.
        """
        return None

    def own_affine(self, op: Op, rank: int) -> Affine | None:
        """The affine that the layer ends with, on an output of ``rank`` axes.

        ``scale=False`` must drop its scale and ``center=False`` its shift, so that another layer
        can absorb them. None where the layer ends with no such affine.
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
        """The change that makes a call absorb ``affine`` where it takes ``affine(tensor)``.

        For layers with several operands.

        Args:
            node: the call.
            tensor: one of its operands, or several of them at once.
            affine: what precedes these operands.
        """
        raise NotCarried(f"'{node.op.name}' takes several tensors")

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        """The ways to write ``affine(layer(x, y, ..))`` as ``layer(A(x), B(y), ..)``.

        Args:
            op: the layer.
            affine: what follows it.
            site: the shapes of its inputs and output.

        Returns:
            The alternatives. Each maps indices of inputs to the affine that the input gets; the
            other inputs stay as they are.
        """
        raise NotCarried(f"no affine can pass '{op.name}' ({op.type_name})")

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        """The affine ``B`` with ``layer(.., affine(x), ..) = B(layer(.., x, ..))``.

        Args:
            op: the layer.
            index: the index of ``x`` among the inputs.
            affine: what precedes that input.
            site: the shapes of the inputs and the output.
        """
        raise NotCarried(f"no affine can pass '{op.name}' ({op.type_name})")

    def carry_across(
        self, op: Op, index: int, affine: Affine, site: Site
    ) -> list[dict[int, Affine]]:
        """The ways to give other inputs an affine, so that input ``index`` needs its own no more.

        Args:
            op: the layer.
            index: the index of the input that has an affine before it.
            affine: that affine.
            site: the shapes of the inputs and the output.

        Returns:
            The alternatives, each a map from indices of inputs to affines; empty where none.
        """
        return []
