"""Where Keras' symbolic tensors fall short of what a ``call`` does with real ones.

Each of these changes a class of Keras while it is active, and takes the change back.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from kito.graph.keras_internals import PRODUCT, RESHAPE

_OPERATORS = {
    f"__{side}{name}__": operation
    for side in ("", "r")
    for name, operation in {
        "add": keras.ops.add,
        "sub": keras.ops.subtract,
        "mul": keras.ops.multiply,
        "truediv": keras.ops.true_divide,
        "matmul": keras.ops.matmul,
    }.items()
}


@contextlib.contextmanager
def extended_symbolic_calls() -> Iterator[None]:
    """Inside, more of what is written in a ``call`` can be recorded.

    - ``variable * tensor``, which Keras hands to the backend, as ``tensor * variable`` is;
    - ``reshape(x, (shape(x)[0], ..))``, where the batch size is None, with -1 in its place;
    - what :func:`dense_products` is about.
    """
    with contextlib.ExitStack() as stack:
        for name, operation in _OPERATORS.items():
            operate = _recorded(getattr(keras.Variable, name), operation, name.startswith("__r"))
            stack.enter_context(_replaced(keras.Variable, name, operate))
        stack.enter_context(_replaced(RESHAPE, "symbolic_call", _settled(RESHAPE.symbolic_call)))
        stack.enter_context(dense_products())
        yield


@contextlib.contextmanager
def dense_products() -> Iterator[None]:
    """Inside, the product of a symbolic tensor and a constant is as dense as the tensor.

    Keras takes a constant for sparse, and so the product, which not every layer can take then.
    """
    usual = PRODUCT.compute_output_spec

    def compute_output_spec(self: Any, x1: Any, x2: Any) -> Any:
        found = usual(self, x1, x2)
        sparse = any(getattr(x, "sparse", False) for x in (x1, x2))
        return keras.KerasTensor(found.shape, found.dtype, sparse=sparse)

    with _replaced(PRODUCT, "compute_output_spec", compute_output_spec):
        yield


@contextlib.contextmanager
def _replaced(kind: Any, name: str, value: Any) -> Iterator[None]:
    own = vars(kind).get(name)  # None where it is inherited
    setattr(kind, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(kind, name)
        else:
            setattr(kind, name, own)


def _recorded(usual: Callable[..., Any], operation: Callable[..., Any], swapped: bool) -> Any:
    def operate(self: Any, other: Any) -> Any:
        if not isinstance(other, keras.KerasTensor):
            return usual(self, other)
        return operation(other, self) if swapped else operation(self, other)

    return operate


def _settled(usual: Callable[..., Any]) -> Any:
    def symbolic_call(self: Any, x: Any) -> Any:
        shape = settle_size(self.newshape, x.shape)
        return usual(self if shape is None else RESHAPE(shape), x)

    return symbolic_call


def settle_size(
    wanted: Sequence[int | None], given: Sequence[int | None]
) -> tuple[int, ...] | None:
    """The shape for a reshape in which one size is open; None where there is nothing to settle.

    Args:
        wanted: the new shape, in which -1 may stand for what is left.
        given: the shape of the tensor. Where ``wanted`` has a -1 as well, only its batch is open.
    """
    if list(wanted).count(None) != 1:
        return None
    shape = list(wanted)
    if -1 in shape:
        first, *rest = given
        if shape[0] is not None or first is not None or None in rest:
            return None
        known = math.prod(n for n in shape[1:] if n not in (None, -1))
        shape[shape.index(-1)] = math.prod(n for n in rest if n is not None) // max(known, 1)
    return tuple(-1 if n is None else n for n in shape)
