"""Layers that map each element, or do nothing in inference.

- ReLU, LeakyReLU and PReLU: ``relu(s * x) = s * relu(x)`` where ``s > 0``.
- The layers of :mod:`kito.rewrite.identity`, such as Dropout, let every affine pass.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.identity import IDENTITIES, is_identity
from kito.rewrite.transfer.pass_through import Through
from kito.rewrite.transfer.preconditions import (
    HOMOGENEOUS,
    activation_name,
    check_only_scale,
    check_positive,
)
from kito.rewrite.transfer.protocol import Site
from kito.rewrite.transfer.registry import provide


class Homogeneous(Through):
    """Elementwise ``f`` with ``f(s * x) = s * f(x)`` for positive s."""

    def passed(self, op: Op, affine: Affine, site: Site, hoisting: bool) -> Affine:
        if op.setting("max_value") is not None or op.setting("threshold"):
            raise Refused(f"'{op.name}' cuts off at fixed values")
        check_positive(affine, f"'{op.name}' ({op.type_name}) is not linear")
        check_only_scale(affine, f"'{op.name}' ({op.type_name}) lets no shift pass")
        return affine


class Activation(Homogeneous):
    """``Activation`` of a linear or ReLU-like function."""

    def passed(self, op: Op, affine: Affine, site: Site, hoisting: bool) -> Affine:
        if is_identity(op.layer):
            return affine
        if op.layer.activation not in HOMOGENEOUS:
            name = activation_name(op.layer.activation)
            raise Refused(f"'{op.name}' applies '{name}', which lets no affine pass")
        return super().passed(op, affine, site, hoisting)


class Identity(Through):
    """Layers that do nothing in inference."""

    def passed(self, op: Op, affine: Affine, site: Site, hoisting: bool) -> Affine:
        return affine


provide(Homogeneous(), layers.ReLU, layers.LeakyReLU, layers.PReLU)
provide(Homogeneous(), "ops.nn.Relu", "ops.nn.LeakyRelu")
provide(Activation(), layers.Activation)
provide(Identity(), *(IDENTITIES - {layers.Activation}))
