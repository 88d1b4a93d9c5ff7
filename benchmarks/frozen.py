"""A model with its variables made constants by TensorFlow, as its users freeze graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def frozen_call(model: Any, arguments: Any) -> Callable[[], object]:
    """A call of the frozen model on this batch, which is converted to tensors once.

    Args:
        model: a Keras model on the TensorFlow backend.
        arguments: what ``model(...)`` takes.
    """
    import tensorflow as tf
    from keras import tree
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    batch = tree.map_structure(tf.convert_to_tensor, arguments)
    function = tf.function(lambda batch: model(batch, training=False))
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(batch))
    tensors = tree.flatten(batch)
    return lambda: frozen(*tensors)
