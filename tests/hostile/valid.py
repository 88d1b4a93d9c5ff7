"""A valid file of every kind that kito reads."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from kito_results import ENVIRONMENT, plain_pass, results

from kito.export.files import sha256
from kito.export.formats import archives
from kito.export.publishing import update_manifest
from pytest_kito.reports.json import report

YAML = """\
version: 1
defaults: {inputs: {samples: 4}}
models:
  net: {source: model.keras, artifacts: [keras]}
"""
L = keras.layers


def model() -> Any:
    """A small model of random weights."""
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    hidden = L.BatchNormalization(name="bn")(L.Dense(3, name="first")(x))
    net = keras.Model(x, L.Dense(2, name="y")(L.ReLU(name="relu")(hidden)), name="net")
    rng = np.random.default_rng(0)
    for layer in net.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return net


def write_valid(folder: Path) -> None:
    """Write ``model.keras``, ``model.h5``, ``net.weights.h5``, ``data.npz``, ``kito.yaml``,
    ``report.json`` and a folder ``artifacts`` into ``folder``."""
    net = model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls .h5 a legacy
        net.save(folder / "model.h5")
    net.save(folder / "model.keras")
    net.save_weights(folder / "net.weights.h5")
    np.savez(folder / "data.npz", x=np.random.default_rng(0).random((4, 4), "float32"))
    (folder / "kito.yaml").write_text(YAML)
    found = report(results(*plain_pass("net")))
    (folder / "report.json").write_text(json.dumps(found))
    (folder / "artifacts").mkdir()
    path = folder / "artifacts" / "net.keras"
    path.write_bytes((folder / "model.keras").read_bytes())
    update_manifest(folder / "artifacts", [entry(path, "keras")])


def entry(path: Path, artifact_format: str) -> dict[str, Any]:
    """An entry of a manifest."""
    return {
        "model": path.name.partition(".")[0],
        "format": artifact_format,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "versions": {"keras": ENVIRONMENT["keras"]},
    }


def pack_saved_model(path: Path, scratch: Path) -> None:
    """Write the valid model as ``saved_model`` archive."""
    model().export(scratch / "exported", format="tf_saved_model", verbose=False)
    archives.pack(scratch / "exported", path, "net")
