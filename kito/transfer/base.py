"""What a transfer is: the answers of one layer family to an affine; and the registry of them.

Types are looked up exactly: a subclass may compute anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from kito.affine import Affine, Refused
from kito.errors import KitoError
from kito.nodes import Node, Op, Tensor

Shape = tuple[int | None, ...]

HOMOGENEOUS = (keras.activations.relu, keras.activations.leaky_relu)
"""Activations with ``f(s * x) = s * f(x)`` for s > 0, called with their default arguments."""


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


def check_plain(op: Op) -> None:
    """Raise Refused where a layer's weights are not what they seem."""
    layer = op.layer
    if getattr(layer, "quantization_mode", None):
        raise Refused(f"'{op.name}' is quantized ({layer.quantization_mode})")
    if getattr(layer, "lora_enabled", False):
        raise Refused(f"'{op.name}' has LoRA enabled: merge it into the kernel first")


def check_bias_axis(op: Op, shape: Shape) -> None:
    """Raise Refused where Keras may add a bias to a result of ``shape`` along a wrong axis.

    On TensorFlow it takes the last axis wherever that has as many elements as the bias.
    """
    first = getattr(op.layer, "data_format", None) == "channels_first" and len(shape) > 2
    if first and keras.config.backend() == "tensorflow" and shape[-1] in (None, shape[1]):
        raise Refused(
            f"'{op.name}' has channels first, and Keras may add its bias along the last axis"
        )


def check_absorbs(op: Op, affine: Affine) -> None:
    """Raise Refused where no layer, of whatever type, could absorb ``affine`` after it."""
    check_plain(op)
    activation = op.setting("activation")
    if activation is None or activation is keras.activations.linear:
        return
    called = getattr(activation, "__name__", type(activation).__name__)
    reason = f"'{op.name}' applies its activation '{called}' before it"
    if activation not in HOMOGENEOUS:
        raise Refused(reason)
    check_positive(affine, reason)
    if affine.shifts:
        raise Refused(f"{reason}; the shift cannot pass that")


def check_positive(affine: Affine, reason: str, zero: bool = False) -> None:
    """Raise Refused, with ``reason`` first, where a scale is not positive; or, ``zero``, negative.

    NaN is neither.
    """
    right = affine.scale >= 0 if zero else affine.scale > 0
    if not np.all(right):
        wrong, count = np.count_nonzero(~right), len(right)
        kind = "not negative" if zero else "positive"
        where = f"{wrong} of {count} channels are not" if count > 1 else "it is not"
        raise Refused(f"{reason}; the scale passes only where it is {kind}: {where}")


def check_only_scale(affine: Affine, reason: str) -> None:
    """Raise Refused, with ``reason``, where there is a shift."""
    if affine.shifts:
        raise Refused(reason)


_NOTHING = Transfer()
_TRANSFERS: dict[type, Transfer] = {}
_BY_NAME: dict[str, Transfer] = {}


def provide(transfer: Transfer, *kinds: str | type) -> None:
    """Enter ``transfer`` for types; "module.Class" inside Keras for those that are not exported."""
    for kind in kinds:
        if isinstance(kind, str):
            _BY_NAME[kind] = transfer
        else:
            _TRANSFERS[kind] = transfer


def register(layer_type: type[Any], transfer: Transfer) -> None:
    """Teach the core what layers of exactly this type can do with an affine.

    Args:
        layer_type: a class of layers; its subclasses are not meant.
        transfer: what they can do; see :class:`Transfer`.

    Raises:
        KitoError: ``layer_type`` is no class of Keras layers, or ``transfer`` no Transfer.
    """
    if not (isinstance(layer_type, type) and issubclass(layer_type, keras.Layer)):
        raise KitoError(f"register() needs a class of Keras layers first; got {layer_type!r}")
    if not isinstance(transfer, Transfer):
        raise KitoError(f"register() needs an instance of a kito.Transfer second; got {transfer!r}")
    _TRANSFERS[layer_type] = transfer


def transfer_of(op: Op) -> Transfer:
    """The transfer registered for exactly the type of the op's layer, or one that refuses."""
    kind = type(op.layer)
    found = _TRANSFERS.get(kind) or _BY_NAME.get(keras_name(kind))
    if found is not None:
        return found
    parent = next((base for base in kind.__mro__[1:] if base in _TRANSFERS), None)
    return _NOTHING if parent is None else _Subclass(parent)


def has_transfer(kind: type) -> bool:
    """Whether a transfer is registered for exactly this type."""
    return kind in _TRANSFERS or keras_name(kind) in _BY_NAME


def keras_name(kind: type) -> str:
    """For a class of Keras' own, "module.Class" without where Keras keeps it; "" for others."""
    package, _, rest = kind.__module__.partition(".")
    return f"{rest.removeprefix('src.')}.{kind.__name__}" if package == "keras" else ""


class _Subclass(Transfer):
    def __init__(self, parent: type) -> None:
        self.parent = parent

    def affine(self, op: Op, rank: int) -> Affine | None:
        if issubclass(self.parent, layers.BatchNormalization):
            raise self._refusal(op)
        return None

    def absorb_following(self, op: Op, affine: Affine, rank: int) -> Change:
        raise self._refusal(op)

    def absorb_preceding(self, op: Op, affine: Affine, rank: int) -> Change:
        raise self._refusal(op)

    def _refusal(self, op: Op) -> Refused:
        return Refused(
            f"'{op.name}' is a {op.type_name}, a subclass of {self.parent.__name__} that may "
            "compute anything; kito.register() can teach what it does"
        )
