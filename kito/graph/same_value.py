"""Whether two attributes of layers are equal: plain values, arrays, and functions.

Functions are compared by what they are, not by identity: their code, and the values that they take
from around them. A layer that is created again often has new functions of the same code.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

import keras
import numpy as np

from kito.graph.stock import is_stock

PLAIN = (bool, int, float, complex, str, bytes, type(None))
"""The types of values that can be compared with ``==``."""


def may_be_equal(value: Any, other: Any) -> bool:
    """Whether two attributes may be equal; True for types that cannot be compared."""
    return _Comparison().may_be_equal(value, other)


def elements(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(name, element) of a list, tuple or dict at any depth; (name, value) of anything else."""
    return _elements(name, value, ())


def _elements(name: str, value: Any, around: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    if id(value) in around:  # a container that holds itself
        return
    if isinstance(value, dict):
        for key, x in value.items():
            yield from _elements(f"{name}[{key!r}]", x, (*around, id(value)))
    elif isinstance(value, list | tuple):
        for i, x in enumerate(value):
            yield from _elements(f"{name}[{i}]", x, (*around, id(value)))
    else:
        yield name, value


def captured(function: FunctionType) -> dict[str, Any]:
    """The values that a function takes from the functions around it, by name."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


class _Comparison:
    """Compares values; remembers the functions that it compares, which may refer to themselves."""

    def __init__(self) -> None:
        self._begun: set[tuple[int, int]] = set()

    def may_be_equal(self, value: Any, other: Any) -> bool:
        if isinstance(value, PLAIN):
            return not isinstance(other, PLAIN) or value == other or value != value
        if _is_array(value):
            return _is_array(other) and np.array_equal(_to_numpy(value), _to_numpy(other))
        if isinstance(value, FunctionType | functools.partial | MethodType):
            return other is None or not callable(other) or self._same_function(value, other)
        return True

    def _same_function(self, f: Any, g: Any) -> bool:
        if f is g or (id(f), id(g)) in self._begun:
            return True
        self._begun.add((id(f), id(g)))
        if isinstance(f, functools.partial):
            return isinstance(g, functools.partial) and self._same_elements(
                (f.func, f.args, f.keywords), (g.func, g.args, g.keywords)
            )
        if isinstance(f, MethodType):
            return isinstance(g, MethodType) and f.__func__ is g.__func__
        if not isinstance(g, FunctionType) or f.__code__ != g.__code__:
            return _are_namesakes(f, g)
        used = ((captured(x), x.__defaults__, x.__kwdefaults__) for x in (f, g))
        return self._same_elements(*used)

    def _same_elements(self, value: Any, other: Any) -> bool:
        of_value, of_other = (dict(elements("", x)) for x in (value, other))
        return of_value.keys() == of_other.keys() and all(
            type(x) is type(of_other[name]) and self.may_be_equal(x, of_other[name])
            for name, x in of_value.items()
        )


def _are_namesakes(f: Any, g: Any) -> bool:
    """Whether both are functions of Keras with one name, which it defines in several modules."""
    same_name = getattr(f, "__name__", None) == getattr(g, "__name__", "")
    return same_name and is_stock(f) and is_stock(g)


def _is_array(value: Any) -> bool:
    if isinstance(value, keras.KerasTensor | keras.Variable):
        return False
    return isinstance(value, np.ndarray) or keras.ops.is_tensor(value)


def _to_numpy(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else np.asarray(keras.ops.convert_to_numpy(value))
