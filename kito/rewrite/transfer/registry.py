"""What a transfer is: the answers of one layer family to an affine; and the registry of them.

Types are looked up exactly: a subclass may compute anything.
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
