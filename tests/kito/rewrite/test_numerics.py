"""Weights are computed in float64, rounded once, and checked for the range of their dtype."""

from __future__ import annotations

import numpy as np
import pytest

from kito.rewrite.affine import Affine, Refused
from kito.rewrite.numerics import add_to_bias, map_bias, scale_kernel


def test_kernels_are_scaled_in_float64_and_rounded_once() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 4, 5)).astype("float32")
    scale = rng.normal(size=5)
    result = scale_kernel(kernel, scale, "float32")
    assert result.dtype == np.float32
    assert np.array_equal(result, (kernel.astype("float64") * scale).astype("float32"))


def test_biases() -> None:
    affine = Affine(np.array([2.0, -1.0]), np.array([0.5, 0.25]), 1)
    bias = np.array([1.0, 4.0], "float32")
    assert map_bias(bias, affine, bias.dtype, "float32").tolist() == [2.5, -3.75]
    assert map_bias(None, affine, bias.dtype, "float32").tolist() == [0.5, 0.25]


def test_a_sum_with_a_bias_has_the_shape_of_what_is_added() -> None:
    bias, values = np.array([[1.0], [4.0]], "float32"), np.array([0.5, -1.0])
    assert add_to_bias(bias, values, bias.dtype, "float32").tolist() == [1.5, 3.0]
    assert add_to_bias(None, values, bias.dtype, "float32").tolist() == [0.5, -1.0]
    with pytest.raises(Refused, match="the folded bias would hold 1e\\+05, which float16 cannot"):
        add_to_bias(bias, values + 1e5, bias.dtype, "float16")


@pytest.mark.parametrize(
    "value, scale, compute_dtype, message",
    [
        (1.0, 7e4, "float16", "would hold 7e\\+04, which float16 cannot"),
        (1.0, 1e39, "float32", "would hold inf, which float32 cannot"),
        (1.0, np.nan, "float32", "NaN: the weights or statistics are not finite"),
        (1.0, 1e-6, "float16", "too small for float16"),
    ],
)
def test_what_a_dtype_cannot_hold_is_refused(
    value: float, scale: float, compute_dtype: str, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        scale_kernel(np.full((2, 1), value, "float32"), np.array([scale]), compute_dtype)


def test_a_zero_scale_is_no_underflow() -> None:
    zero = scale_kernel(np.ones((2, 1), "float32"), np.zeros(1), "float16")
    assert not zero.any()
