"""Files that were written and proved, and those that never appear."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from artifact_files import net, written

import kito
from kito.errors import KitoError
from kito.export.artifact import write_artifact
from kito.export.proof import Baseline
from kito.runtime.random_inputs import random_inputs


def test_the_file_is_what_was_tested(tmp_path: Path) -> None:
    entry = written(tmp_path)
    path = tmp_path / "net.keras"
    assert [x.name for x in tmp_path.iterdir()] == ["net.keras"]
    assert entry["file"] == "net.keras"
    assert entry["bytes"] == path.stat().st_size
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry["max_abs"] < 1e-5


def test_a_file_that_differs_never_appears(tmp_path: Path) -> None:
    model = net()
    other = kito.reduce(model).model
    other.get_layer("conv").set_weights([w + 0.1 for w in other.get_layer("conv").get_weights()])
    (tmp_path / "net.keras").write_text("the older one")
    with pytest.raises(KitoError, match="run by Keras, differs: output"):
        write_artifact(other, Baseline(model, random_inputs(model)), tmp_path, "net")
    assert (tmp_path / "net.keras").read_text() == "the older one"
    assert len(list(tmp_path.iterdir())) == 1


class Unregistered(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return 2.0 * x


def test_a_file_that_cannot_be_loaded_says_what_to_register(tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    model = keras.Model(x, Unregistered()(x))
    inputs = {"x": np.random.default_rng(0).random((4, 3), "float32")}
    known = Baseline(model, inputs, custom_objects={"Unregistered": Unregistered})
    write_artifact(model, known, tmp_path, "good")
    Unregistered.__module__ = "a.module.that.is.gone"
    with pytest.raises(KitoError, match="register_keras_serializable"):
        write_artifact(model, Baseline(model, inputs), tmp_path, "bad")
    assert [x.name for x in tmp_path.iterdir()] == ["good.keras"]


def test_an_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(KitoError, match="no artifact format 'pickle'; there are: keras"):
        write_artifact(net(), Baseline(net(), {}), tmp_path, "net", "pickle")


def test_a_link_is_kept_and_its_file_is_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "net.keras").symlink_to("real/version 2.keras")
    entry = written(tmp_path)
    assert entry["file"] == "net.keras"
    assert (tmp_path / "net.keras").is_symlink()
    content = (tmp_path / "real" / "version 2.keras").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert {x.name for x in tmp_path.iterdir()} == {"real", "net.keras"}
    assert len(list((tmp_path / "real").iterdir())) == 1


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f".kito-tmp-{'0' * 16}"
    left.mkdir()
    (left / "half.keras").write_text("half")
    written(tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ["net.keras"]
