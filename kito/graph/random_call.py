"""Random inputs for a call of a layer, and whether two runs on them gave the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kito.graph.ir import Tensor

OPEN_SIZES = (32, 64, 16)
"""Sizes to try for an axis of unknown size."""
RTOL = 1e-5
"""The largest difference of two runs that do the same, relative to the largest value."""
_BATCH = 2


def draw_inputs(
    tensors: Iterable[Tensor], size: int, rng: np.random.Generator
) -> dict[Tensor, Any] | None:
    """Random backend tensors for symbolic ones, with ``size`` for unknown sizes.

    Floats are normal, integers and booleans are 0 or 1.

    Returns:
        None if one of them is of another dtype: no random value could show anything.
    """
    arrays = {x: _draw(x, size, rng) for x in dict.fromkeys(tensors)}
    if any(x is None for x in arrays.values()):
        return None
    return {x: keras.ops.convert_to_tensor(array) for x, array in arrays.items()}


def _draw(tensor: Tensor, size: int, rng: np.random.Generator) -> np.ndarray | None:
    shape = tensor.measured
    if shape is None:
        batch = (_BATCH if n is None else n for n in tensor.shape[:1])
        shape = (*batch, *(size if n is None else n for n in tensor.shape[1:]))
    if "float" in tensor.dtype:
        values = rng.normal(0, 1, shape)
        return values.astype("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    if "int" in tensor.dtype or tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(tensor.dtype)
    return None


def find_difference(
    expected: list[Any], actual: list[Any], what: str, rtol: float = RTOL
) -> str | None:
    """In words, how the tensors of two runs differ; None if they are the same.

    Args:
        expected: the flat outputs of the layer.
        actual: those that ``what`` returned.
        what: the subject of the sentence, such as "its inside".
        rtol: tolerance, relative to the largest finite value of each output.
    """
    if len(expected) != len(actual):
        return f"{what} returns {len(actual)} tensors, not {len(expected)}"
    for a, b in zip(expected, actual, strict=True):
        if tuple(a.shape) != tuple(b.shape):
            return f"{what} returns the shape {tuple(b.shape)}, not {tuple(a.shape)}"
        x, y = (np.asarray(keras.ops.convert_to_numpy(v)).astype(np.float64) for v in (a, b))
        scale = float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
        if not np.allclose(y, x, rtol=0, atol=rtol * scale, equal_nan=True):
            return f"{what} gives other outputs than the layer itself"
    return None
