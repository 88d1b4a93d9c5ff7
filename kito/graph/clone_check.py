"""Compare a layer with its clone: attributes that the clone lost, and flags that it must get.

The ``get_config()`` of a custom layer may forget an argument. A clone made from it would silently
compute something else, so the attributes of both are compared: plain values, arrays, functions, and
those of the layers inside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import FunctionType
from typing import Any

import keras
import numpy as np

from kito.graph.stock import base_attributes, is_stock

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_IGNORED = frozenset({"name", "seed"})  # attributes in which equal layers may differ


def find_mismatch(original: Any, clone: Any, changed: Collection[str] = ()) -> str | None:
    """An attribute of ``original`` that ``clone`` lost, in words; None if it lost nothing.

    Args:
        original: a layer.
        clone: a layer that was created from its configuration.
        changed: attributes that were changed on purpose.
    """
    return _find_mismatch(original, clone, "", changed, custom=False)


def copy_trainable(original: Any, clone: Any) -> None:
    """Freeze in ``clone`` what is frozen in ``original``, including the layers inside."""
    if clone.trainable is not original.trainable:
        clone.trainable = original.trainable  # also sets the flags inside, which are set next
    for _, child, child_clone in _children(original, clone):
        copy_trainable(child, child_clone)


def _find_mismatch(
    original: Any, clone: Any, path: str, changed: Collection[str], custom: bool
) -> str | None:
    # The configurations of Keras' own layers are complete, but a custom layer around them may have
    # created them with other arguments.
    stock, is_model = is_stock(type(original)), isinstance(original, keras.Model)
    custom = custom or not stock
    if custom and not (stock and is_model):
        cloned = dict(_attributes(clone))
        for name, value in _attributes(original):
            if name.split("[")[0] in changed or (is_model and name not in cloned):
                continue  # a compiled model has more attributes
            if not _may_be_equal(value, cloned.get(name)):
                other = _show(cloned[name]) if name in cloned else "missing"
                return f"'{path}{name}', which is {_show(value)} but {other}"
    for name, child, child_clone in _children(original, clone):
        mismatch = _find_mismatch(child, child_clone, f"{path}{name}.", (), custom)
        if mismatch is not None:
            return mismatch
    return None


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer that not every layer has; lists and dicts element by element."""
    for name, value in vars(layer).items():
        # TensorFlow tracks attributes in "_self_*"; models have many private ones of Keras.
        private = name.startswith("_" if isinstance(layer, keras.Model) else "_self_")
        if not (private or name in _IGNORED or name in base_attributes() or "dtype" in name):
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


def _may_be_equal(value: Any, other: Any) -> bool:
    """Whether two attributes may be equal; True for types that cannot be compared."""
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


def _children(original: Any, clone: Any) -> Iterator[tuple[str, Any, Any]]:
    """The layers directly inside both: (path, layer of the original, layer of the clone)."""
    if isinstance(original, keras.Model):
        for child, child_clone in zip(original.layers, clone.layers, strict=False):
            yield child.name, child, child_clone
        return
    cloned = dict(_attributes(clone))
    for name, child in _attributes(original):
        if isinstance(child, keras.Layer) and isinstance(cloned.get(name), keras.Layer):
            yield name, child, cloned[name]
