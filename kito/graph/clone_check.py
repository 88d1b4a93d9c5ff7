"""Compare a layer with its clone: attributes that the clone lost, and flags that it must get.

The ``get_config()`` of a custom layer may forget an argument. A clone made from it would silently
compute something else, so the attributes of both are compared: plain values, arrays, functions, and
those of the layers inside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import keras

from kito.graph.same_value import elements, may_be_equal
from kito.graph.stock import is_stock, own_attributes

_IGNORED = frozenset({"name", "seed", "input_names", "output_names"})
"""Attributes in which equal layers may differ: Keras numbers names."""


def find_mismatch(original: Any, clone: Any, changed: Collection[str] = ()) -> str | None:
    """An attribute of ``original`` that ``clone`` lost, in words; None if it lost nothing.

    Args:
        original: a layer.
        clone: a layer that was created from its configuration.
        changed: attributes that were changed on purpose.
    """
    waiting: list[tuple[Any, Any, str, Collection[str], bool]] = [
        (original, clone, "", changed, False)
    ]
    seen: set[int] = set()
    while waiting:
        layer, layer_clone, path, changed, custom = waiting.pop()
        if id(layer) in seen:  # layers may refer to each other
            continue
        seen.add(id(layer))
        # The configurations of Keras' own layers are complete, but a custom layer around them may
        # have created them with other arguments.
        stock, is_model = is_stock(type(layer)), isinstance(layer, keras.Model)
        custom = custom or not stock
        if custom and not (stock and is_model):
            mismatch = _find_own_mismatch(layer, layer_clone, path, changed)
            if mismatch is not None:
                return mismatch
        children = list(_children(layer, layer_clone))
        waiting += [(x, y, f"{path}{name}.", (), custom) for name, x, y in reversed(children)]
    return None


def copy_trainable(original: Any, clone: Any) -> None:
    """Freeze in ``clone`` what is frozen in ``original``, including the layers inside."""
    waiting, seen = [(original, clone)], set()
    while waiting:
        layer, layer_clone = waiting.pop()
        if id(layer) in seen:  # layers may refer to each other
            continue
        seen.add(id(layer))
        if layer_clone.trainable is not layer.trainable:
            layer_clone.trainable = layer.trainable  # also sets the flags inside: those are next
        waiting += [(x, y) for _, x, y in _children(layer, layer_clone)]


def _find_own_mismatch(layer: Any, clone: Any, path: str, changed: Collection[str]) -> str | None:
    """As :func:`find_mismatch`, without the layers inside."""
    cloned = dict(_attributes(clone))
    for name, value in _attributes(layer):
        if name.split("[")[0] in changed:
            continue
        if isinstance(layer, keras.Model) and name not in cloned:
            continue  # a compiled model has more attributes
        lost = isinstance(value, keras.Layer) and not isinstance(cloned.get(name), keras.Layer)
        if lost or not may_be_equal(value, cloned.get(name)):
            other = _show(cloned[name]) if name in cloned else "missing"
            return f"'{path}{name}', which is {_show(value)} but {other}"
    return None


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer that not every layer has; lists and dicts element by element."""
    for name, value in own_attributes(layer).items():
        private = isinstance(layer, keras.Model) and name.startswith("_")  # Keras has many
        if not (private or name in _IGNORED or "dtype" in name):
            yield from elements(name, value)


def _show(value: Any) -> str:
    return f"{getattr(value, '__name__', None) or repr(value):.60}"


def _children(original: Any, clone: Any) -> Iterator[tuple[str, Any, Any]]:
    """The layers directly inside both: (path, layer of the original, layer of the clone)."""
    if isinstance(original, keras.Model):
        for child, child_clone in zip(original.layers, clone.layers, strict=False):
            yield child.name, child, child_clone
        return
    if is_stock(type(original)) and not original._layers:
        return  # Keras lists the layers inside of its own ones
    cloned = dict(_attributes(clone))
    for name, child in _attributes(original):
        if isinstance(child, keras.Layer) and isinstance(cloned.get(name), keras.Layer):
            yield name, child, cloned[name]
