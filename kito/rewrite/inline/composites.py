"""Which layers are composite, and whether inlining them may be of use."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kito.graph.keras_internals import all_layers
from kito.graph.read import is_readable
from kito.graph.stock import is_stock
from kito.rewrite.transfer.registry import can_be_affine, can_end_in_affine, has_transfer


def is_composite(layer: Any) -> bool:
    """Whether a layer is of a custom class, holds layers, and is not a graph by itself."""
    return (
        isinstance(layer, keras.Layer)
        and not is_stock(type(layer))
        and not is_readable(layer)
        and bool(all_layers(layer))
    )


_REWRITTEN = (
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
    layers.UpSampling2D,
)
"""Layers that are no affines, and that a pass may replace by themselves."""


def is_promising(layer: Any, affines_outside: bool) -> bool:
    """Whether a pass may rewrite something in a composite layer.

    That is so where it holds an affine, or a layer that a pass may replace; and, where there are
    affines outside of it, where a layer in it may absorb one. A layer with a transfer rule of its
    own is left to that rule.
    """
    if has_transfer(type(layer)):
        return False
    inside = all_layers(layer)
    if affines_outside and any(has_transfer(type(x)) for x in inside):
        return True
    return any(
        can_be_affine(type(x))
        or can_end_in_affine(type(x))
        or isinstance(x, _REWRITTEN)
        or getattr(x, "groups", 1) != 1
        for x in inside
    )


def holds_affine(layer: Any) -> bool:
    """Whether a layer in a composite layer is an affine, as far as its type tells."""
    return any(can_be_affine(type(x)) for x in all_layers(layer))
