"""The algebra of affines."""

from __future__ import annotations

import numpy as np
import pytest

from kito.rewrite.affine import Affine, Refused


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


def test_an_affine_is_its_scale_after_its_shift() -> None:
    affine = Affine(np.array([2.0, -0.5]), np.array([1.0, 3.0]), 1)
    again = affine.shift_first().then(affine.only_scale())
    assert again.same_as(affine)
    assert affine.only_scale().then(affine.only_shift()).same_as(affine)


@pytest.mark.parametrize("scale", [0.0, 1e-3])
def test_a_tiny_scale_cannot_come_after_the_shift(scale: float) -> None:
    with pytest.raises(Refused, match="a scale is zero or tiny"):
        Affine(np.array([2.0, scale]), np.array([1.0, 3.0]), 1).shift_first()


def test_an_affine_has_the_channels_of_its_layer() -> None:
    affine = Affine(np.array([2.0, -0.5]), np.array([1.0, 3.0]), 1)
    assert affine.along(1, 2, "conv") is affine
    assert Affine.of(2.0, 1.0, None).along(3, 4, "conv").scale.tolist() == [2.0] * 4
    with pytest.raises(Refused, match="it works on axis 1; the channels of 'conv' are on axis 3"):
        affine.along(3, 2, "conv")
    with pytest.raises(Refused, match="it has 2 channels, 'conv' has 4"):
        affine.along(1, 4, "conv")
