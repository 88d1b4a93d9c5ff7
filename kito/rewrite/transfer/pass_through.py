"""The base of layers with one input that let an affine pass: ``layer(A(x)) = B(layer(x))``.

The families: :mod:`~kito.rewrite.transfer.pooling` combines elements of one channel,
:mod:`~kito.rewrite.transfer.activation` maps each element, and
:mod:`~kito.rewrite.transfer.layout` moves elements.
"""

from __future__ import annotations

import abc

from kito.graph.ir import Op
from kito.rewrite.affine import Affine
from kito.rewrite.transfer.protocol import Site, Transfer


class Through(Transfer, abc.ABC):
    """Lets affines pass in both directions; derived classes say which, and what they become."""

    @abc.abstractmethod
    def passed(self, op: Op, affine: Affine, site: Site, hoisting: bool) -> Affine:
        """The affine on the other side of the layer.

        Args:
            op: the layer.
            affine: the affine on this side.
            site: the shapes of the layer's input and output.
            hoisting: whether this side is the output; otherwise it is the input.

        Raises:
            Refused: the affine cannot pass.
        """

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        return [{0: self.passed(op, affine, site, hoisting=True)}]

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        return self.passed(op, affine, site, hoisting=False)
