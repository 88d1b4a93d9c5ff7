"""Tests of our own: a fixture gives a ``keras.Model``, or a ``torch.nn.Module``."""

from __future__ import annotations

import numpy as np
import pytest

import lab.data


@pytest.mark.kito_model("keras_digits")
def test_the_keras_model_has_no_normalization_left(kito_reduced) -> None:
    assert not [x for x in kito_reduced.layers if "normalization" in x.name]


@pytest.mark.kito_model("torch_digits")
def test_no_prediction_of_the_module_changes(kito_reduced, kito_original) -> None:
    import torch

    image = torch.from_numpy(np.ascontiguousarray(lab.data.channels_first()["image"]))
    with torch.inference_mode():
        before, after = (m.eval()(image).argmax(-1) for m in (kito_original, kito_reduced))
    assert torch.equal(before, after)
