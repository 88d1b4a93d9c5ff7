"""What makes a check pass or fail, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from pytest_kito.checks.check import check_reduction
from pytest_kito.checks.outcome import CheckFailed

Repository = Callable[[str], pytest.Pytester]


def run(folder: pytest.Pytester, *args: str) -> pytest.RunResult:
    return folder.runpytest_inprocess("--kito-check", "-p", "no:cacheprovider", *args)


def test_a_tolerance_that_cannot_be_met_fails_with_what_would_have_passed(
    repository: Repository,
) -> None:
    folder = repository(
        """
        version: 1
        models:
          small: {source: "nets:net", tolerance: {rtol: 0.0}}
        """
    )
    result = run(folder, "--tb=short")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] >= 1
    assert outcomes["passed"] == 1  # the reduction
    result.stdout.fnmatch_lines(
        ["kito.yaml:3: small: equivalence: *'scores' differs*rtol * would have passed"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*checks.py*")


def test_a_minimum_for_a_gpu_is_skipped_on_a_cpu(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          small: {source: "nets:net", speedup: {min: 1.2}}
        """
    )
    result = run(folder, "-rs", "--kito-report", "report.json")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*declared for device: gpu; this run is on the cpu*"])
    [model] = json.loads((folder.path / "report.json").read_text())["models"]
    assert model["passed"] is True
    assert model["speedup"][0]["verdict"] is None
    assert "declared for device: gpu" in model["speedup"][0]["skipped"]


def test_a_reduction_below_what_was_declared_fails_and_says_why(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          stays:
            source: nets:kept
            reduction: {min_folded: 1, max_batchnorms: 0}
        """
    )
    result = run(folder, "-k", "reduction")
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "kito.yaml:3: stays: reduction: 0 BatchNormalization folded, min_folded: 1; 1 *left*",
            "*first: it reads the input 'image'*",
        ]
    )


@pytest.mark.parametrize(
    "least, most, problem",
    [
        (2, 2, ""),
        (3, None, "2 BatchNormalization folded, min_folded: 3"),
        (None, 1, "2 BatchNormalization left, max_batchnorms: 1"),
    ],
)
def test_what_was_precomputed_is_not_folded(
    least: int | None, most: int | None, problem: str
) -> None:
    reduction = SimpleNamespace(batchnorms=(4, 1), precomputed=1, kept=(), to_dict=dict)
    spec = SimpleNamespace(reduction=SimpleNamespace(min_folded=least, max_batchnorms=most))
    run: Any = SimpleNamespace(reduction=lambda: reduction, spec=spec)
    if not problem:
        check_reduction(run)
        return
    with pytest.raises(CheckFailed, match=problem):
        check_reduction(run)


def test_the_report_holds_the_network_where_one_is_to_be_drawn(repository: Repository) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    schema = json.loads(files("pytest_kito").joinpath("reports/report.schema.json").read_text())
    for drawn in (False, True):
        html = ["--kito-html=report.html"] if drawn else []
        run(folder, "-k", "reduction", "--kito-report=report.json", *html)
        content = json.loads((folder.path / "report.json").read_text())
        jsonschema.validate(content, schema)
        model = content["models"][0]
        assert ("network" in model) is drawn
        if drawn:
            assert len(model["network"]["after"]) == model["reduction"]["layers"][1]


def test_a_comparison_that_could_not_fail_fails(repository: Repository) -> None:
    folder = repository("{version: 1, models: {same: {source: 'nets:constant'}}}")
    result = run(folder, "-k", "equivalence")
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["kito.yaml:1: same: equivalence: *"])


def test_a_model_that_cannot_be_built_fails_its_own_checks_only(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          lost: {source: "nets:broken"}
          seven: {source: "nets:nothing"}
          missing: {source: "nowhere:net"}
          small: {source: "nets:net"}
        """
    )
    result = run(folder)
    result.assert_outcomes(failed=9, passed=3)
    result.stdout.fnmatch_lines(
        [
            "kito.yaml:3: lost: reduction: *RuntimeError: the weights are lost*",
            "kito.yaml:4: seven: reduction: *int*",
            "kito.yaml:5: missing: reduction: *nowhere*",
        ]
    )


WRONG = """
import keras
import numpy as np
import kito


keras.utils.set_random_seed(1)  # with other weights, every ReLU may be dead


@keras.saving.register_keras_serializable("nets")
class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


class Wrong(kito.Transfer):
    def absorb_following(self, op, affine, rank):
        return kito.Change({})  # it claims to have absorbed what it drops


kito.register(Doubling, Wrong())


def block(x, name):
    x = keras.layers.Dense(4, name=f"{name}_dense")(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn", beta_initializer="ones")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def wrong(x):
    x = Doubling(name="twice")(x)
    return keras.layers.BatchNormalization(name="bn", beta_initializer="ones")(x)


def doubling():
    image = keras.Input((4,), name="image")
    return keras.Model(image, keras.layers.Dense(2, name="scores")(wrong(image)))


def branching():
    image = keras.Input((4,), name="image")
    stem = block(image, "stem")
    left, right = block(stem, "left"), block(stem, "right_1")
    right = block(wrong(right), "right_2")
    x = block(keras.layers.Add(name="sum")([left, right]), "joined")
    x = keras.layers.Add(name="residual")([x, stem])
    return keras.Model(image, keras.layers.Dense(2, name="scores")(x))


def nested():
    inner = keras.Input((4,), name="inner")
    encoder = keras.Model(inner, block(wrong(block(inner, "before")), "after"), name="encoder")
    image = keras.Input((4,), name="image")
    x = block(encoder(block(image, "stem")), "joined")
    return keras.Model(image, keras.layers.Dense(2, name="scores")(x))
"""


@pytest.mark.parametrize(
    "source, layer",
    [("doubling", "twice"), ("branching", "twice"), ("nested", "encoder/twice")],
)
def test_a_wrong_rewrite_fails_names_the_layer_and_publishes_nothing(
    repository: Repository, source: str, layer: str
) -> None:
    folder = repository(
        f"""
        version: 1
        models:
          small: {{source: "nets:{source}", speedup: {{device: cpu}}}}
        """
    )
    (folder.path / "nets.py").write_text(WRONG)
    result = run(folder, "--kito-artifacts", "out", "--kito-report", "report.json")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "kito.yaml:3: small: equivalence: output 'scores' differs by *",
            "*against the original in float64*",
            f"the first layer whose output departs is '{layer}'",
            "there, in sample *, it differs by * at a scale of *",
            "no tolerance is suggested: output 'scores' would need rtol *, and that is no *",
            "kito.yaml:3: small: speedup*: not timed: equivalence did not pass",
            "kito.yaml:3: small: artifact*: not written: equivalence did not pass",
        ]
    )
    assert not list((folder.path / "out").glob("*.keras"))
    (model,) = json.loads((folder.path / "report.json").read_text())["models"]
    equivalence = model["equivalence"]
    assert equivalence["first_departure"]["layer"] == layer
    assert equivalence["first_departure"]["max_abs"] > 0.1 * equivalence["first_departure"]["scale"]
    assert equivalence["suggestion"] is None
    assert equivalence["float64_device"] == "cpu"


def test_a_layer_that_cannot_be_copied_is_shared_unless_it_is_strict(
    repository: Repository,
) -> None:
    folder = repository(
        """
        version: 1
        defaults: {artifacts: []}
        models:
          free: {source: "nets:sharing"}
          strict: {source: "nets:sharing", reduction: {strict: true}}
        """
    )
    result = run(folder, "--kito-report", "report.json")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["free: 1 shared by both models", "  - bound: its get_config()*"])
    result.stdout.fnmatch_lines(["*strict: reduction*'bound' (its get_config() loses 'factor'*"])
    free, _ = json.loads((folder.path / "report.json").read_text())["models"]
    assert [x["layer"] for x in free["reduction"]["shared"]] == ["bound"]


def test_a_subclassed_model(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          own:
            source: nets:subclassed
            weights: random
            reduction: {min_folded: 2, max_batchnorms: 0}
            speedup: {device: cpu, budget_s: 0.5}
        """
    )
    folder.makepyfile(
        """
        def test_fixtures(kito_original, kito_reduced):
            assert type(kito_original).__name__ == "Subclassed"
            assert "block_1-conv" in [x.name for x in kito_reduced.layers]
        """
    )
    result = run(folder, "--kito-artifacts", "out", "--kito-report", "report.json")
    result.assert_outcomes(passed=5)
    (model,) = json.loads((folder.path / "report.json").read_text())["models"]
    assert model["reduction"]["opened"] == ["block_0", "block_1"]
    assert (folder.path / "out" / "own.keras").is_file()


ODD = """
import keras


def odd():
    image = keras.Input((4,), name="image")
    x = keras.layers.Lambda(lambda t: 2.0 * t, name="twice")(image)
    return keras.Model(image, keras.layers.Dense(2, name="scores")(x))
"""


@pytest.mark.backends("tensorflow")
def test_an_artifact_that_the_original_could_not_be_either(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          odd: {source: "nets:odd", artifacts: [keras, saved_model]}
        """
    )
    (folder.path / "nets.py").write_text(ODD)
    result = run(folder, "-k", "artifact")
    result.assert_outcomes(passed=1, failed=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["kito.yaml:3: odd: artifact?keras?: *original's fault*'twice' (Lambda)*saved_model*"]
    )


@pytest.mark.backends("tensorflow")
@pytest.mark.slow
def test_the_output_holds_nothing_of_the_backends_own(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    folder = repository(
        """
        version: 1
        models:
          small: {source: "nets:net", weights: random, artifacts: [keras]}
          lost: {source: "nets:broken"}
        """
    )
    result = folder.runpytest_subprocess("--kito-check", "-s", "-k", "small or reduction")
    result.assert_outcomes(passed=3, failed=1, deselected=2)
    result.stdout.fnmatch_lines(["kito.yaml:4: lost: reduction: *the weights are lost*"])
    assert not str(result.stderr)
    assert not str(result.stderr)
    result.stdout.no_fnmatch_line("*Warning*")
    result.stdout.no_fnmatch_line("*absl*")
