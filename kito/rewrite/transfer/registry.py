"""The registry: which transfer each layer type has.

Types are looked up exactly, because a subclass may compute anything.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kito.errors import KitoError
from kito.graph.ir import Op
from kito.graph.stock import keras_name
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.transfer.protocol import Change, Transfer

_NOTHING = Transfer()
_TRANSFERS: dict[type, Transfer] = {}
_BY_NAME: dict[str, Transfer] = {}


def provide(transfer: Transfer, *kinds: str | type) -> None:
    """Register ``transfer`` for layer types.

    Args:
        transfer: what the layers can do.
        kinds: their classes; "module.Class" inside Keras for classes that Keras does not export.
    """
    for kind in kinds:
        if isinstance(kind, str):
            _BY_NAME[kind] = transfer
        else:
            _TRANSFERS[kind] = transfer


def register(layer_type: type[Any], transfer: Transfer) -> None:
    """Teach kito what layers of exactly this type can do with an affine.

    Args:
        layer_type: a class of Keras layers. Its subclasses are not included.
        transfer: an instance of a class derived from :class:`kito.Transfer`.

    Raises:
        KitoError: ``layer_type`` is not a class of Keras layers, or ``transfer`` is not an instance
            of :class:`kito.Transfer`.
    """
    if not (isinstance(layer_type, type) and issubclass(layer_type, keras.Layer)):
        raise KitoError(f"register() needs a class of Keras layers first; got {layer_type!r}")
    if not isinstance(transfer, Transfer):
        raise KitoError(f"register() needs an instance of a kito.Transfer second; got {transfer!r}")
    _TRANSFERS[layer_type] = transfer


def transfer_of(op: Op) -> Transfer:
    """The transfer for exactly the type of the op's layer; one that refuses where there is none."""
    kind = type(op.layer)
    registered = _TRANSFERS.get(kind) or _BY_NAME.get(keras_name(kind))
    if registered is not None:
        return registered
    parent = next((base for base in kind.__mro__[1:] if base in _TRANSFERS), None)
    return _NOTHING if parent is None else _Subclass(parent)


def has_transfer(kind: type) -> bool:
    """Whether a transfer is registered for exactly this type."""
    return kind in _TRANSFERS or keras_name(kind) in _BY_NAME


def can_be_affine(kind: type) -> bool:
    """Whether layers of this type may be an affine: the registered transfer has a rule for it."""
    return _overrides(kind, "affine", "affine_at", "affine_of_call")


def can_end_in_affine(kind: type) -> bool:
    """Whether layers of this type may end with an affine, as LayerNormalization does."""
    return _overrides(kind, "own_affine")


def _overrides(kind: type, *methods: str) -> bool:
    transfer = type(_TRANSFERS.get(kind) or _BY_NAME.get(keras_name(kind)) or _NOTHING)
    return any(getattr(transfer, name) is not getattr(Transfer, name) for name in methods)


class _Subclass(Transfer):
    """Refuses everything for a subclass of a registered type, and says why."""

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
