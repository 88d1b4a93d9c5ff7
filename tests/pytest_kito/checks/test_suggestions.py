"""What is suggested where a comparison fails: pasted into kito.yaml, it makes the check pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest

Repository = Callable[[str], pytest.Pytester]


def run(folder: pytest.Pytester, *args: str) -> pytest.RunResult:
    return folder.runpytest_inprocess("--kito-check", "-p", "no:cacheprovider", *args)


NUDGED = """
import keras
import numpy as np
import kito


@keras.saving.register_keras_serializable("nets")
class Near(keras.layers.Dense):
    pass


class Sloppy(kito.Transfer):
    def absorb_following(self, op, affine, rank):
        return kito.Change({"kernel": op.weight("kernel") * affine.scale * FACTOR,
                            "bias": op.weight("bias") * affine.scale + affine.shift})


FACTOR = 1.002
kito.register(Near, Sloppy())


def net():
    rng = np.random.default_rng(0)
    image = keras.Input((8,), name="image")
    x = Near(8, name="near")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    outputs = [keras.layers.Dense(3, name="mask")(x), keras.layers.Dense(3, name="yes")(image)]
    model = keras.Model(image, outputs)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model
"""


@pytest.mark.parametrize(
    "keys, wanted",
    [
        ("", "tolerance: {outputs: {mask: {rtol: *}}}  # no rounding: its error is *"),
        ("tolerance: {rtol: 1.0e-9}", "tolerance: {rtol: *}"),
        (
            "tolerance: {rtol: 1.0e-9, atol: 1.0e-5, outputs: {yes: {rtol: 0.001}}}",
            "tolerance: {rtol: 0.001, atol: 1.0e-05, outputs: {mask: {rtol: *}}}",
        ),
    ],
)
def test_the_tolerance_that_is_suggested_passes_when_it_is_pasted(
    repository: Repository, keys: str, wanted: str
) -> None:
    def check(keys: str) -> tuple[pytest.RunResult, Any]:
        folder = repository(
            f"""
            version: 1
            models:
              small:
                source: nets:net
                {keys or "kwargs: {}"}
            """
        )
        (folder.path / "nets.py").write_text(NUDGED)
        result = run(folder, "-k", "equivalence", "--kito-report", "report.json")
        (model,) = json.loads((folder.path / "report.json").read_text())["models"]
        return result, model["equivalence"]

    result, equivalence = check(keys)
    result.assert_outcomes(failed=1, deselected=2)
    line = equivalence["suggestion"]
    assert fnmatch(line, wanted.replace("[", "[[]"))
    assert f"    {line}" in result.stdout.lines
    result, equivalence = check(line)
    result.assert_outcomes(passed=1, deselected=2)
    assert equivalence["first_departure"] is equivalence["suggestion"] is None


@pytest.mark.parametrize(
    "source, keys, suggestion, advice",
    [
        ("fresh", "kwargs: {}", "weights: random", "these weights are fresh"),
        ("net", "inputs: {high: 1.0e-8}", "inputs: {data: samples.npz}", "samples.npz*image=..."),
        ("net", "inputs: {data: 'nets:alike'}", None, "nets:alike samples that differ more"),
        ("net", "tolerance: {rtol: 5.0}", "tolerance: {rtol: 0.0001}", "is too wide"),
    ],
)
def test_an_insensitive_check_says_what_to_change(
    repository: Repository, source: str, keys: str, suggestion: str | None, advice: str
) -> None:
    def check(keys: str) -> tuple[pytest.RunResult, Any]:
        folder = repository(
            f"""
            version: 1
            models:
              same:
                source: nets:{source}
                {keys}
            """
        )
        with (folder.path / "nets.py").open("a") as file:
            file.write(VARIED)
        result = run(folder, "-k", "equivalence", "--kito-report", "report.json")
        (model,) = json.loads((folder.path / "report.json").read_text())["models"]
        return result, model["equivalence"]

    (repository("version: 1").path / "samples.npz").unlink(missing_ok=True)
    result, equivalence = check(keys)
    result.assert_outcomes(failed=1, deselected=2)
    assert equivalence["insensitive"]
    assert equivalence["suggestion"] == suggestion
    result.stdout.fnmatch_lines([f"*{advice}*"])
    if suggestion is not None:
        assert f"    {suggestion}" in result.stdout.lines
        images = np.random.default_rng(0).normal(0, 1, (8, 8, 8, 3)).astype("float32")
        np.savez("samples.npz", image=images)
        result, equivalence = check(suggestion)
        result.assert_outcomes(passed=1, deselected=2)


VARIED = """

def alike():
    return np.full((4, 8, 8, 3), 0.5, "float32")


def fresh():
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 3), name="image")
    for _ in range(6):
        x = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("sigmoid")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, name="scores")(x), name="fresh")
"""
