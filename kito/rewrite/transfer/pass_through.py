"""Layers with one input that let an affine through: ``layer(A(x)) = B(layer(x))``.

- Average pooling, up-sampling, cropping and resizing give weighted means with weights that sum to
  one (with ``padding="same"`` Keras averages real elements only), and ``mean(s * x + t) =
  s * mean(x) + t``: any ``A`` along the channels passes as it is.
- ``max(s * x + t) = s * max(x) + t`` where ``s >= 0``.
- Zero padding: ``pad(s * x) = s * pad(x)``; a shift would have to stop at the border.
- ``relu(s * x) = s * relu(x)`` where ``s > 0``; the same for LeakyReLU and PReLU.
- What does nothing in inference lets all pass.
- What moves elements only (Flatten, Reshape, Permute, RepeatVector) lets all pass, with the axis
  followed: each element's scale and shift move with it.
"""

from __future__ import annotations

import abc

from kito.graph.ir import Op
from kito.rewrite.affine import Affine
from kito.rewrite.transfer.protocol import Site, Transfer


class Through(Transfer, abc.ABC):
    """Lets affines pass both ways; derived classes say which, and what becomes of them."""

    @abc.abstractmethod
    def passed(self, op: Op, affine: Affine, site: Site, up: bool) -> Affine:
        """What comes out at the other side; raises Refused."""

    def carry_up(self, op: Op, affine: Affine, site: Site) -> list[dict[int, Affine]]:
        return [{0: self.passed(op, affine, site, up=True)}]

    def carry_down(self, op: Op, index: int, affine: Affine, site: Site) -> Affine:
        return self.passed(op, affine, site, up=False)
