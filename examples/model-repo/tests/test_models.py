"""Tests of our own, on the reduced models: run with and without ``--kito-check``."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import lab.layers


@pytest.mark.kito_model("classifier")
def test_no_prediction_changes(kito_reduced: keras.Model, kito_original: keras.Model) -> None:
    images = np.load("data/clean.npz")["image"]
    before, after = (m.predict(images, verbose=0) for m in (kito_original, kito_reduced))
    assert (before.argmax(axis=-1) == after.argmax(axis=-1)).all()


@pytest.mark.kito_model("classifier")
def test_our_own_layer_is_folded_away(kito_reduced: keras.Model) -> None:
    kinds = {type(layer) for layer in kito_reduced.layers}
    assert not kinds & {lab.layers.ChannelGain, keras.layers.BatchNormalization}


@pytest.mark.kito_model("denoiser")
def test_an_empty_image_stays_empty(kito_reduced: keras.Model) -> None:
    clean = kito_reduced.predict(np.zeros((1, 8, 8, 1), "float32"), verbose=0)
    assert clean.max() < 0.5
