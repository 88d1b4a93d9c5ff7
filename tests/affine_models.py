"""Models around an affine, for the tests of what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from kito_models import randomize

import kito

L = keras.layers
Rest = Callable[[Any], Any]

LINE, IMAGE, VOLUME = (9, 4), (8, 10, 4), (5, 6, 5, 4)
POSITIVE = np.array([0.5, 2.0, 0.25, 3.0], "float32")
NEGATIVE = np.array([0.5, -2.0, 0.25, 3.0], "float32")
"""One negative scale, and no zero."""
MIXED = np.array([0.5, -2.0, 0.0, 3.0], "float32")
SHIFT = np.array([0.5, -2.0, 0.0, 3.0], "float32")


def bn(**arguments: Any) -> Any:
    return L.BatchNormalization(name="bn", **arguments)


def scale(vector: Any = MIXED) -> Any:
    return lambda x: x * vector


def tanh(x: Any) -> Any:
    """No affine can be hoisted above it."""
    return L.Activation("tanh", name="tanh")(x)


def build(shape: tuple[int, ...], rest: Rest) -> Any:
    x = image = keras.Input(shape, name="image")
    y = rest(x)
    ends = [tanh_end(t) for t in (y if isinstance(y, list) else [y])]
    return randomize(keras.Model(image, ends))


def tanh_end(x: Any) -> Any:
    return L.Activation("tanh")(x)


def reduce(model: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("fold_affine",))


def operations(model: Any) -> list[str]:
    """The calls that are no layers, by type."""
    return [type(x).__name__ for x in model.operations if not isinstance(x, L.Layer)]


def assert_gone(reduction: kito.Reduction) -> None:
    """No affine is left, none is kept, and nothing became a Rescaling."""
    assert not reduction.kept
    assert reduction.rewrites
    assert reduction.batchnorms[1] == reduction.precomputed == 0
    assert not {type(x) for x in reduction.model.operations} & {L.Rescaling, L.Normalization}
    # Of arithmetic, what joins two tensors is left and nothing else.
    assert operations(reduction.model) in ([], ["Relu"], ["Add"], ["Multiply"])


def positive(model: Any) -> Any:
    """Gammas above zero."""
    layer = model.get_layer("bn")
    layer.gamma.assign(np.abs(layer.gamma.numpy()) + 0.1)
    return model
