"""An artifact that tests of the files and of their manifest write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

import kito
from kito.export.artifact import write_artifact
from kito.export.proof import Baseline
from kito.runtime.random_inputs import random_inputs

L = keras.layers


def net() -> Any:
    image = keras.Input((6, 6, 3), name="image")
    x = L.BatchNormalization()(L.Conv2D(4, 3, name="conv")(image))
    return keras.Model(image, x, name="net")


def written(folder: Path, name: str = "net") -> dict[str, Any]:
    """Write the reduced net as ``folder/name.keras``; returns its entry of the manifest."""
    model = net()
    baseline = Baseline(model, random_inputs(model))
    file = write_artifact(kito.reduce(model).model, baseline, folder, name)
    return {"model": name, **file.to_dict()}
