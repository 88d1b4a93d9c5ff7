"""Layers that combine elements of one channel: ``layer(A(x)) = A(layer(x))``.

- Average pooling, up-sampling, cropping and resizing return weighted means with weights that sum to
  one (with ``padding="same"`` Keras averages real elements only), and ``mean(s * x + t) =
  s * mean(x) + t``: any ``A`` along the channels passes.
- Max pooling: ``max(s * x + t) = s * max(x) + t`` where ``s >= 0``.
- Zero padding: ``pad(s * x) = s * pad(x)``; a shift cannot pass, because the padding stays zero.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.channels import channel_axis
from kito.rewrite.transfer.pass_through import Through
from kito.rewrite.transfer.preconditions import check_only_scale, check_positive
from kito.rewrite.transfer.protocol import Site
from kito.rewrite.transfer.registry import provide


class Pooling(Through):
    """Layers that combine elements of one channel; here each output is a weighted mean of some."""

    def passed(self, op: Op, affine: Affine, site: Site, hoisting: bool) -> Affine:
        self.check(op, affine)
        shape, other = (site.output, site.inputs[0]) if hoisting else (site.inputs[0], site.output)
        if affine.axis is None:
            return affine
        if affine.axis != channel_axis(op.layer, len(shape)):
            raise Refused(
                f"it works on axis {affine.axis}; '{op.name}' combines elements along that axis"
            )
        return affine.on_axis(channel_axis(op.layer, len(other)))

    def check(self, op: Op, affine: Affine) -> None:
        """Raise Refused for an affine that cannot pass; here every one can."""


class Maximum(Pooling):
    """The largest of some elements of one channel."""

    def check(self, op: Op, affine: Affine) -> None:
        check_positive(affine, f"'{op.name}' takes maxima", zero=True)


class Interpolation(Pooling):
    """Weighted means, where the layer's settings make the weights sum to one."""

    def check(self, op: Op, affine: Affine) -> None:
        layer = op.layer
        method = getattr(layer, "interpolation", "nearest")
        if method not in ("nearest", "bilinear"):
            raise Refused(f"'{op.name}' interpolates by '{method}'")
        if getattr(layer, "pad_to_aspect_ratio", False) or getattr(layer, "antialias", False):
            raise Refused(f"'{op.name}' pads to the aspect ratio, or antialiases")


class Padding(Pooling):
    """Zeros around the input."""

    def check(self, op: Op, affine: Affine) -> None:
        check_only_scale(affine, f"'{op.name}' pads with zeros, which its shift must not reach")


def _each(name: str, dimensions: str = "123") -> list[type]:
    """The layers of this name, with each of ``dimensions`` in the place of the ``*``."""
    return [getattr(layers, name.replace("*", x)) for x in dimensions]


provide(Pooling(), *_each("AveragePooling*D"), *_each("GlobalAveragePooling*D"))
provide(Maximum(), *_each("MaxPooling*D"), *_each("GlobalMaxPooling*D"))
provide(Pooling(), *_each("Cropping*D"))
provide(Interpolation(), *_each("UpSampling*D"), layers.Resizing)
provide(Padding(), *_each("ZeroPadding*D"))
