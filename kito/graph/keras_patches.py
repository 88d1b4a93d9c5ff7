"""Temporary patches of Keras classes, where symbolic tensors support less than real ones.

Each patch is a context manager: the class is restored at its end.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kito.graph.keras_internals import PRODUCT, RESHAPE, SHORTENED
from kito.graph.stock import is_stock

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
    """Within this context, Keras records more of what a ``call`` does with symbolic tensors.

    - ``variable * tensor``, which Keras passes to the backend, is recorded like
      ``tensor * variable``;
    - ``reshape(x, (shape(x)[0], ..))``, where the batch size is None, is recorded with -1 for it;
    - products with constants are dense, as with :func:`dense_products`;
    - a custom layer whose own rule for the shape of its output fails, because it does not take an
      argument that ``call`` takes, say, gets Keras' rule, which runs its ``call``;
    - a Sequential that was built for another size than that of its input is recorded as the calls
      of its layers. With real tensors Keras runs such a model, too.
    """
    with contextlib.ExitStack() as stack:
        for name, operation in _OPERATORS.items():
            operate = _recorded(getattr(keras.Variable, name), operation, name.startswith("__r"))
            stack.enter_context(_replaced(keras.Variable, name, operate))
        stack.enter_context(
            _replaced(RESHAPE, "symbolic_call", _reshape_unknown_size(RESHAPE.symbolic_call))
        )
        stack.enter_context(dense_products())
        symbolic_call = _by_running_call(keras.Layer.symbolic_call)
        stack.enter_context(_replaced(keras.Layer, "symbolic_call", symbolic_call))
        layer_by_layer = _layer_by_layer(keras.Sequential.__call__)
        stack.enter_context(_replaced(keras.Sequential, "__call__", layer_by_layer))
        yield


@contextlib.contextmanager
def limited_weights(most: int) -> Iterator[None]:
    """Within this context, layers create weights of at most ``most`` bytes altogether.

    The size of a weight is known before it takes memory. One that is too large raises a ValueError.
    """
    original, total = keras.Layer.add_weight, 0

    def add_weight(self: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal total
        total += 4 * math.prod(shape if isinstance(shape, list | tuple) else (shape or 1,))
        if total > most:
            raise ValueError(
                f"its configuration asks for weights of more than {most} bytes; its file holds "
                "much less"
            )
        return original(self, shape, *args, **kwargs)

    with _replaced(keras.Layer, "add_weight", add_weight):
        yield


def _layer_by_layer(original: Callable[..., Any]) -> Any:
    """The ``__call__`` of Sequential models, which calls the layers where the size is another."""

    def call(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        built_for = self.input_shape if self.built and self.inputs else None
        if not isinstance(inputs, keras.KerasTensor) or _fits(inputs.shape, built_for):
            return original(self, inputs, *args, **kwargs)
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    return call


def _fits(shape: Sequence[int | None], expected: Sequence[int | None] | None) -> bool:
    """Whether no size differs; unknown ones may be anything."""
    return expected is None or all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, expected, strict=False)
    )


def _by_running_call(original: Callable[..., Any]) -> Any:
    """The ``symbolic_call`` of layers, with Keras' general rule where a rule of their own fails."""

    def symbolic_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except Exception:
            if is_stock(type(self)):
                raise
            return keras.Operation.compute_output_spec(self, *args, **kwargs)

    return symbolic_call


@contextlib.contextmanager
def dense_products() -> Iterator[None]:
    """Within this context, the product of a dense symbolic tensor and a constant is dense.

    Keras assumes that a constant is sparse, and so the product, which not every layer accepts.
    """
    original = PRODUCT.compute_output_spec

    def compute_output_spec(self: Any, x1: Any, x2: Any) -> Any:
        result = original(self, x1, x2)
        sparse = any(getattr(x, "sparse", False) for x in (x1, x2))
        return keras.KerasTensor(result.shape, result.dtype, sparse=sparse)

    with _replaced(PRODUCT, "compute_output_spec", compute_output_spec):
        yield


@contextlib.contextmanager
def kept_float64() -> Iterator[None]:
    """Within this context, Keras computes in float64 what it is given in float64.

    On JAX and PyTorch it otherwise computes the product of two matrices, say, in float32, and casts
    the result of the layer to float64.
    """
    shortened = SHORTENED["float64"]
    SHORTENED["float64"] = "float64"
    try:
        yield
    finally:
        SHORTENED["float64"] = shortened


@contextlib.contextmanager
def _replaced(kind: Any, name: str, value: Any) -> Iterator[None]:
    """Within this context, ``kind`` has the attribute ``name`` with this value."""
    own = vars(kind).get(name)  # None if it is inherited
    setattr(kind, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(kind, name)
        else:
            setattr(kind, name, own)


def _recorded(original: Callable[..., Any], operation: Callable[..., Any], swapped: bool) -> Any:
    """The operator method ``original``, except that it records calls with symbolic tensors."""

    def operate(self: Any, other: Any) -> Any:
        if not isinstance(other, keras.KerasTensor):
            return original(self, other)
        return operation(other, self) if swapped else operation(self, other)

    return operate


def _reshape_unknown_size(original: Callable[..., Any]) -> Any:
    """The ``symbolic_call`` of a reshape, with -1 for a size that is None."""

    def symbolic_call(self: Any, x: Any) -> Any:
        shape = with_unknown_size(self.newshape, x.shape)
        return original(self if shape is None else RESHAPE(shape), x)

    return symbolic_call


def with_unknown_size(
    wanted: Sequence[int | None], given: Sequence[int | None]
) -> tuple[int, ...] | None:
    """The new shape of a reshape, with -1 for the one size that is None.

    Args:
        wanted: the new shape. If -1 is in it, its size is computed from the shape of the tensor, of
            which only the batch size may be None then.
        given: the shape of the tensor.

    Returns:
        None if not exactly one size is None, or the size for -1 cannot be computed.
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


@contextlib.contextmanager
def plain_constants(layers: Sequence[Any]) -> Iterator[None]:
    """Within this context, the statistics of ``Normalization`` layers are NumPy arrays.

    Keras holds them as tensors of its backend. A traced function takes such a tensor as one more
    input, which tf2onnx leaves in its file as an input that nobody can feed; an array becomes a
    constant.
    """
    held = [
        (vars(layer), name, vars(layer)[name])
        for layer in layers
        if isinstance(layer, keras.layers.Normalization)
        for name in ("mean", "variance")
        if vars(layer).get(name) is not None
    ]
    try:
        for values, name, value in held:
            values[name] = np.asarray(keras.ops.convert_to_numpy(value))
        yield
    finally:
        for values, name, value in held:
            values[name] = value


@contextlib.contextmanager
def inlined_xla_functions() -> Iterator[None]:
    """Within this context, what TensorFlow would compile by XLA becomes part of the traced graph.

    Keras has XLA compile each grouped convolution, as TensorFlow itself has none on the CPU. Other
    engines have, but no converter can look into what is compiled.
    """
    import tensorflow as tf

    original = tf.function

    def function(func: Any = None, **options: Any) -> Any:
        if not options.get("jit_compile"):
            return original(func, **options)
        return (lambda x: x) if func is None else func

    with _replaced(tf, "function", function):
        yield
