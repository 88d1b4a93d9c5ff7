"""From float64 to the dtype of a weight: one rounding, and a check that the values fit.

Every fold is computed in float64 and cast once, at the end, to the dtype of the variable. A result
that is out of range for the dtype in which the layer computes is refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kito.rewrite.affine import Affine, Refused, Vector

# NumPy knows no bfloat16: (largest finite, smallest normal) of each dtype that Keras computes in.
_RANGE = {
    "float16": (65504.0, 2.0**-14),
    "bfloat16": ((2 - 2.0**-7) * 2.0**127, 2.0**-126),
    "float32": (float(np.finfo(np.float32).max), 2.0**-126),
    "float64": (float(np.finfo(np.float64).max), float(np.finfo(np.float64).tiny)),
}


def scale_kernel(
    kernel: NDArray[np.floating], scale: Vector, compute_dtype: str
) -> NDArray[np.floating]:
    """``kernel * scale`` by NumPy's broadcasting, computed in float64, in the kernel's own dtype.

    It allocates no float64 array of the kernel's size.

    Raises:
        Refused: the result is out of range for ``compute_dtype``, or loses its digits in it.
    """
    out = np.empty(kernel.shape, kernel.dtype)
    if kernel.dtype.kind == "f":
        with np.errstate(all="ignore"):
            np.multiply(kernel, scale, out=out, dtype=np.float64, casting="same_kind")
    else:  # bfloat16, which has no ufunc loop of this kind
        out[...] = (kernel.astype(np.float64) * scale).astype(kernel.dtype)
    check_range(out, "kernel", compute_dtype)
    if compute_dtype == "float16":
        _check_underflow(out, kernel, compute_dtype)
    return out


def map_bias(
    bias: NDArray[np.floating] | None, affine: Affine, dtype: np.dtype, compute_dtype: str
) -> NDArray[np.floating]:
    """``bias * scale + shift``, cast to ``dtype``; no bias counts as zeros. Shapes (channels,).

    Raises:
        Refused: the result is out of range for ``compute_dtype``.
    """
    with np.errstate(all="ignore"):
        moved = affine.shift
        if bias is not None:
            moved = bias.astype(np.float64) * affine.scale + affine.shift
    return cast(moved, dtype, "bias", compute_dtype)


def add_to_bias(
    bias: NDArray[np.floating] | None,
    values: NDArray[np.floating],
    dtype: np.dtype,
    compute_dtype: str,
) -> NDArray[np.floating]:
    """``bias + values`` in the shape of ``values``, cast to ``dtype``; no bias counts as zeros.

    Raises:
        Refused: the result is out of range for ``compute_dtype``.
    """
    with np.errstate(all="ignore"):
        total = values
        if bias is not None:
            total = bias.astype(np.float64).reshape(values.shape) + values
    return cast(total, dtype, "bias", compute_dtype)


def cast(
    values: NDArray[np.floating], dtype: np.dtype | str, what: str, compute_dtype: str
) -> NDArray[np.floating]:
    """``values``, computed in float64, rounded once to ``dtype``.

    Args:
        values: of any shape.
        dtype: of the variable that they are for.
        what: name of the values for the message, such as ``kernel`` or ``bias``.
        compute_dtype: what the layer computes in.

    Raises:
        Refused: the values are out of range for ``compute_dtype``.
    """
    with np.errstate(all="ignore"):
        out = np.asarray(values.astype(dtype))
    check_range(out, what, compute_dtype)
    return out


def check_range(values: NDArray[np.floating], what: str, compute_dtype: str) -> None:
    """Raise Refused where ``values`` are NaN or out of range for ``compute_dtype``."""
    largest = _largest(values)
    limit = _RANGE[compute_dtype][0]
    if not largest <= limit:  # also true for NaN
        raise Refused(
            f"the folded {what} would hold {largest:.3g}, which {compute_dtype} cannot hold"
            if largest == largest
            else f"the folded {what} would hold NaN: the weights or statistics are not finite"
        )


def _check_underflow(
    new: NDArray[np.floating], old: NDArray[np.floating], compute_dtype: str
) -> None:
    """Raise Refused where a kernel fell below the normal numbers of float16: it lost digits."""
    tiny = _RANGE[compute_dtype][1]
    after, before = _largest(new), _largest(old)
    if 0 < after < tiny <= before:
        raise Refused(f"the folded kernel would hold {after:.3g} at most, too small for float16")


def _largest(values: NDArray[np.floating]) -> float:
    """The largest absolute value; NaN where there is one. It allocates no array."""
    with np.errstate(invalid="ignore"):  # both are NaN where there is one
        return max(float(np.max(values, initial=0.0)), -float(np.min(values, initial=0.0)))
