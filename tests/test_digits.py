"""The trained classifier of ``examples/digits``: reduced, and trained anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits"


def held_out() -> tuple[np.ndarray, np.ndarray]:
    with np.load(EXAMPLE / "test.npz") as stored:
        return stored["image"], stored["label"]


def predictions(model: keras.Model) -> np.ndarray:
    digits: np.ndarray = np.argmax(model.predict(held_out()[0], verbose=0), axis=-1)
    return digits


@pytest.mark.kito_model("digits")
def test_reduction_changes_no_prediction(
    kito_original: keras.Model, kito_reduced: keras.Model
) -> None:
    reduced = predictions(kito_reduced)
    np.testing.assert_array_equal(reduced, predictions(kito_original))
    assert np.mean(reduced == held_out()[1]) > 0.97


@pytest.mark.kito_model("digits")
def test_every_normalization_is_folded(kito_reduced: keras.Model) -> None:
    kinds = [type(layer).__name__ for layer in kito_reduced.layers]
    assert "BatchNormalization" not in kinds
    assert "Dropout" not in kinds


def test_the_gate_compares_on_the_test_images() -> None:
    with np.load(EXAMPLE / "test_images.npz") as stored:
        np.testing.assert_array_equal(stored["image"], held_out()[0])


@pytest.mark.nightly
def test_the_stored_test_set_is_that_of_the_training() -> None:
    pytest.importorskip("sklearn", reason="pip install 'pytest-kito[examples]'")
    from digits.data import load

    images, labels = held_out()
    np.testing.assert_array_equal(images, load().test_images)
    np.testing.assert_array_equal(labels, load().test_labels)


@pytest.mark.nightly
def test_training_reaches_its_accuracy_and_repeats(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="pip install 'pytest-kito[examples]'")
    outputs = [tmp_path / "first", tmp_path / "second"]
    for output in outputs:
        output.mkdir()
    runs = [
        subprocess.Popen([sys.executable, str(EXAMPLE / "train.py"), "--output", str(output)])
        for output in outputs
    ]
    assert [run.wait() for run in runs] == [0, 0]
    first, second = (keras.models.load_model(output / "digits.keras") for output in outputs)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.mean(predictions(first) == held_out()[1]) > 0.97
