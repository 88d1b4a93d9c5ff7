"""The algebra of affines, and the ranges of the dtypes they are folded into."""

from __future__ import annotations

import numpy as np
import pytest

from kito.rewrite.affine import Affine, Refused
from kito.rewrite.numerics import map_bias, scale_kernel


def test_a_normalization_is_its_formula() -> None:
    mean, variance, gamma, beta = np.random.default_rng(0).uniform(0.5, 2, (4, 5))
    x = np.linspace(-3, 3, 5)
    affine = Affine.from_normalization(mean, variance, gamma, beta, 1e-3, axis=3)
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    assert np.allclose(affine.scale * x + affine.shift, expected, rtol=1e-14)
    bare = Affine.from_normalization(mean, variance, None, None, 1e-3, axis=3)
    assert np.allclose(bare.scale * x + bare.shift, (x - mean) / np.sqrt(variance + 1e-3))
    assert affine.axis == 3
    assert affine.on_axis(1).axis == 1


def test_same_as_means_bit_for_bit() -> None:
    one = Affine(np.ones(3), np.zeros(3), 1)
    assert one.same_as(Affine(np.ones(3), np.zeros(3), 1))
    assert not one.same_as(Affine(np.ones(3), np.zeros(3), 2))
    assert not one.same_as(Affine(np.ones(3), np.full(3, 1e-300), 1))


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
