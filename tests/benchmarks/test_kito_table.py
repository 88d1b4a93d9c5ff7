from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from benchmarks import networks, published
from benchmarks.frozen import frozen_call
from benchmarks.topics import kito_table
from kito.runtime.random_inputs import random_inputs
from zoo.networks import NETWORKS


def row(**changes: Any) -> dict[str, Any]:
    ratio = {"median": 1.25, "low": 1.2, "high": 1.3}
    difference = {
        "final": {"max": 1e-7, "mean": 1e-9, "scale": 0.5},
        "before": {"max": 4e-5, "mean": 2e-6, "scale": 4.0},
    }
    return {
        "image": [224, 224, 3],
        "batch": 8,
        "layers": {"original": 91, "fold": 64, "ours": 59},
        "parameters": {"original": 4253864, "fold": 4221032, "ours": 4221032},
        "difference": {"fold": difference, "ours": difference},
        "conversion": {"ours_s": 0.28, "fold_s": 0.3, "clone_s": 0.6, "ratio_to_clone": 0.47},
        "rounds": 60,
        "ms": {"original": 80.0, "fold": 70.0, "ours": 64.0, "frozen": 79.0, "bare": 60.0},
        "speedup": dict.fromkeys(("fold", "ours", "frozen", "bare"), ratio),
        "gain": ratio,
        **changes,
    }


def test_published_figures_are_of_the_networks_that_we_build() -> None:
    assert tuple(published.KITO) == networks.KITO
    for network in NETWORKS:
        known = published.KITO[network.name]
        assert known.parameters == (network.parameters_before, network.parameters_after)
        assert known.layers[0] - known.layers[1] >= network.folded


def test_published_figures_stand_beside_ours_in_italics() -> None:
    text = kito_table.table({"mobilenet": row()})
    size, speed, faithful = (x for x in text.splitlines() if x.startswith("| mobilenet"))
    assert "| 91 / 64 / 59 | *102 → 75* |" in size
    # 80 ms a batch of 8: 100 s for 10,000 images.
    assert "| 100 | 88 (1.25x) |" in speed
    assert speed.endswith("| *32 → 22* | *1.46x* |")
    assert "| 0.28 | 0.47 | *12* |" in faithful
    assert faithful.endswith("| 1.0e-05 / 5.0e-07 |")
    short = kito_table.readme({"mobilenet": row()}).splitlines()[2]
    assert short.endswith("| 100 → 80 | **1.25x** | 1.25x | *1.46x* | 0.28 | *12* |")


def test_a_network_that_kito_did_not_publish_has_no_published_figures() -> None:
    for text in (kito_table.table, kito_table.readme):
        lines = text({"retinanet_resnet50": row()}).splitlines()
        assert not any("*" in x.replace("**", "") for x in lines if x.startswith("| retinanet"))


def test_a_failed_network_is_told_and_no_mean_is_of_it() -> None:
    text = kito_table.table({"mobilenet": row(), "xception": {"error": "no memory"}})
    assert "xception: not measured, no memory." in text
    assert "kito 1.25x over the original" in text


@pytest.mark.parametrize("bound", ["softmax", "sigmoid", "linear"])
def test_differences_are_taken_before_the_last_activation(bound: str) -> None:
    image = keras.Input((4,), name="image")
    dense = keras.layers.Dense(3, activation=bound, kernel_initializer="ones")
    model = keras.Model(image, dense(image))
    other = keras.models.clone_model(model)
    other.set_weights([model.get_weights()[0] + 0.5, np.ones(3)])
    inputs = random_inputs(model, samples=4, high=10.0)
    models = {"original": model, "fold": model, "ours": other}
    found = kito_table._differences(models, inputs)["ours"]
    apart = inputs["image"].sum(axis=1) * 0.5 + 1
    assert found["before"]["max"] == pytest.approx(apart.max(), rel=1e-5)
    assert found["before"]["mean"] == pytest.approx(apart.mean(), rel=1e-5)
    assert (found["final"] == found["before"]) == (bound == "linear")
    assert dense.activation is keras.activations.get(bound)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="freezes a TensorFlow graph")
def test_a_frozen_call_computes_what_the_model_did() -> None:
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    images = random_inputs(model, samples=2)["image"]
    right = keras.ops.convert_to_numpy(model(images))
    call = frozen_call(model, images)
    model.set_weights([np.zeros_like(x) for x in model.get_weights()])  # variables count no more
    result: Any = call()
    np.testing.assert_allclose(result[0], right, rtol=1e-5, atol=1e-6)
