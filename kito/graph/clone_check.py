"""A layer and its copy side by side: what the copy lost, and which of its parts are frozen.

A layer of the user's may have a ``get_config()`` that forgets an argument. The copy made from it
would silently compute something else, so whatever both hold is compared: plain values, arrays,
functions, and the same of the layers inside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import FunctionType
from typing import Any

import keras
import numpy as np

from kito.graph.stock import base_attributes, is_stock

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OWN = frozenset({"name", "seed"})  # what two layers that are alike may well differ in


def find_mismatch(original: Any, new: Any, changed: Collection[str] = ()) -> str | None:
    """What a layer made from ``original``'s configuration lost, in words; None if it lost nothing.

    Args:
        original: a layer.
        new: the one that was made from its configuration.
        changed: attributes that were changed on purpose.
    """
    return _find_loss(original, new, "", changed, custom=False)


def copy_trainable(original: Any, new: Any) -> None:
    """Freeze in ``new`` what is frozen in ``original``, the layers inside included."""
    if new.trainable is not original.trainable:
        new.trainable = original.trainable  # overwrites the flags inside, which come next
    for _, child, twin in _children(original, new):
        copy_trainable(child, twin)


def _find_loss(
    original: Any, new: Any, path: str, changed: Collection[str], custom: bool
) -> str | None:
    # Layers of Keras are only suspected where a layer of the user's made them.
    stock, is_model = is_stock(type(original)), isinstance(original, keras.Model)
    custom = custom or not stock
    if custom and not (stock and is_model):
        held = dict(_held(new))
        for name, value in _held(original):
            if name.split("[")[0] in changed or (is_model and name not in held):
                continue  # a model that was compiled has more
            if not _alike(value, held.get(name)):
                other = _show(held[name]) if name in held else "missing"
                return f"'{path}{name}', which is {_show(value)} but {other}"
    for name, child, twin in _children(original, new):
        lost = _find_loss(child, twin, f"{path}{name}.", (), custom)
        if lost is not None:
            return lost
    return None


def _held(layer: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer that not every layer has; lists and dicts element by element."""
    for name, value in vars(layer).items():
        # TensorFlow has a second book of what a layer holds; a model much that is none of its own.
        private = name.startswith("_" if isinstance(layer, keras.Model) else "_self_")
        if not (private or name in _OWN or name in base_attributes() or "dtype" in name):
            yield from _elements(name, value)


def _elements(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, x in value.items():
            yield from _elements(f"{name}[{key!r}]", x)
    elif isinstance(value, list | tuple):
        for i, x in enumerate(value):
            yield from _elements(f"{name}[{i}]", x)
    else:
        yield name, value


def _alike(value: Any, other: Any) -> bool:
    """Whether two attributes can be the same; where that cannot be told, they are."""
    if isinstance(value, _PLAIN):
        return not isinstance(other, _PLAIN) or value == other or value != value
    if isinstance(value, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(value, other)
    if isinstance(value, FunctionType):
        return not isinstance(other, FunctionType | None) or value.__code__ is getattr(
            other, "__code__", None
        )
    return True


def _show(value: Any) -> str:
    return f"{getattr(value, '__name__', None) or repr(value):.60}"


def _children(original: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """The layers that both hold: (where, the original's, the copy's)."""
    if isinstance(original, keras.Model):
        for child, twin in zip(original.layers, new.layers, strict=False):
            yield child.name, child, twin
        return
    held = dict(_held(new))
    for name, child in _held(original):
        if isinstance(child, keras.Layer) and isinstance(held.get(name), keras.Layer):
            yield name, child, held[name]
