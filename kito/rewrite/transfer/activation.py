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

from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.identity import IDENTITIES, is_identity
from kito.rewrite.transfer.pass_through import Through
from kito.rewrite.transfer.preconditions import HOMOGENEOUS, check_only_scale, check_positive
from kito.rewrite.transfer.protocol import Site
from kito.rewrite.transfer.registry import provide


class Homogeneous(Through):
    """Elementwise ``f`` with ``f(s * x) = s * f(x)`` for positive s."""

    def passed(self, op: Op, affine: Affine, site: Site, up: bool) -> Affine:
        if op.setting("max_value") is not None or op.setting("threshold"):
            raise Refused(f"'{op.name}' cuts off at fixed values")
        check_positive(affine, f"'{op.name}' ({op.type_name}) is not linear")
        check_only_scale(affine, f"'{op.name}' ({op.type_name}) lets no shift pass")
        return affine


class Activation(Homogeneous):
    """``Activation``: as the layer of that name where that is one of these."""

    def passed(self, op: Op, affine: Affine, site: Site, up: bool) -> Affine:
        if is_identity(op.layer):
            return affine
        if op.layer.activation not in HOMOGENEOUS:
            called = getattr(op.layer.activation, "__name__", type(op.layer.activation).__name__)
            raise Refused(f"'{op.name}' applies '{called}', which lets no affine pass")
        return super().passed(op, affine, site, up)


class Nothing(Through):
    """Layers that do nothing in inference."""

    def passed(self, op: Op, affine: Affine, site: Site, up: bool) -> Affine:
        return affine


provide(Homogeneous(), layers.ReLU, layers.LeakyReLU, layers.PReLU)
provide(Homogeneous(), "ops.nn.Relu", "ops.nn.LeakyRelu")
provide(Activation(), layers.Activation)
provide(Nothing(), *(IDENTITIES - {layers.Activation}))
