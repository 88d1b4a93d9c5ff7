"""Which layers are composite, and whether inlining them may be of use."""

from __future__ import annotations

from typing import Any

import keras

from kito.graph.keras_internals import all_layers
from kito.graph.read import is_readable
from kito.graph.stock import is_stock
from kito.rewrite.identity import IDENTITIES
from kito.rewrite.transfer.registry import has_transfer


def is_composite(layer: Any) -> bool:
    """Whether a layer is of a custom class, holds layers, and is not a graph by itself."""
    return (
        isinstance(layer, keras.Layer)
        and not is_stock(type(layer))
        and not is_readable(layer)
        and bool(all_layers(layer))
    )


def is_promising(layer: Any) -> bool:
    """Whether a pass may rewrite something in a composite layer.

    A layer with a transfer rule of its own is left to that rule.
    """
    if has_transfer(type(layer)):
        return False
    return any(type(x) in IDENTITIES or has_transfer(type(x)) for x in all_layers(layer))
