"""The checks of kito.yaml as test items: what passes, what fails, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest

Repository = Callable[[str], pytest.Pytester]

TWO = """
    version: 1
    models:
      small:
        source: nets:net
        reduction: {min_folded: 1, max_batchnorms: 0}
        speedup: {device: cpu, batch_size: [1, 2], budget_s: 0.5}
      wide:
        source: nets:net
        kwargs: {width: 6}
"""


def run(folder: pytest.Pytester, *args: str) -> pytest.RunResult:
    return folder.runpytest_inprocess("--kito-check", "-p", "no:cacheprovider", *args)


def test_each_model_gets_its_checks(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makepyfile("def test_mine(): pass")
    result = run(folder, "-v")
    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines_random(
        [
            "*test_mine PASSED*",
            "kito.yaml::small::reduction PASSED*",
            "kito.yaml::small::equivalence PASSED*",
            "kito.yaml::small::speedup[[]1] PASSED*",
            "kito.yaml::small::speedup[[]2] PASSED*",
            "kito.yaml::small::artifact[[]keras] PASSED*",
            "kito.yaml::wide::reduction PASSED*",
            "kito.yaml::wide::equivalence PASSED*",
            "kito.yaml::wide::artifact[[]keras] PASSED*",
        ]
    )
    table = result.stdout.str().partition("= kito =")[2].splitlines()
    assert max(map(len, table[:6])) <= 100
    result.stdout.fnmatch_lines(["small*1→0*passed", "wide*1→0*passed"])


def test_nothing_is_collected_without_the_option(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makepyfile("def test_mine(): pass")
    folder.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "args, passed, deselected",
    [
        (("-k", "wide"), 3, 6),
        (("-k", "equivalence"), 2, 7),
        (("-m", "kito"), 8, 1),
        (("-m", "not kito"), 1, 8),
        (("kito.yaml",), 8, 0),
        (("kito.yaml::wide",), 3, 0),
        (("kito.yaml::wide::equivalence",), 1, 0),
        ((".",), 9, 0),
    ],
)
def test_selection(
    repository: Repository, args: tuple[str, ...], passed: int, deselected: int
) -> None:
    folder = repository(TWO)
    folder.makepyfile("def test_mine(): pass")
    result = run(folder, *args, "--collect-only", "-q")
    collected = [line for line in result.stdout.lines if "::" in line]
    assert len(collected) == passed
    assert result.parseoutcomes().get("deselected", 0) == deselected


def test_works_where_testpaths_leaves_it_out(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makeini("[pytest]\ntestpaths = tests\nkito_check = true")
    folder.mkdir("tests").joinpath("test_mine.py").write_text("def test_mine(): pass")
    result = folder.runpytest_inprocess("--collect-only", "-q")
    assert sum("::" in line for line in result.stdout.lines) == 9


def test_collect_only_builds_nothing(repository: Repository) -> None:
    folder = repository("{version: 1, models: {lost: {source: 'nets:broken'}}}")
    result = run(folder, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["kito.yaml::lost::reduction"])


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


def test_shards_share_the_models(repository: Repository) -> None:
    folder = repository(TWO)
    names = []
    for part in ("1/2", "2/2"):
        result = run(folder, "--collect-only", "-q", "--kito-shard", part)
        names.append({line.split("::")[1] for line in result.stdout.lines if "::" in line})
    assert sorted(names, key=sorted) == [{"small"}, {"wide"}]


WRONG = """
import keras
import numpy as np
import kito


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
            assert "block_1.conv" in [x.name for x in kito_reduced.layers]
        """
    )
    result = run(folder, "--kito-artifacts", "out", "--kito-report", "report.json")
    result.assert_outcomes(passed=5)
    (model,) = json.loads((folder.path / "report.json").read_text())["models"]
    assert model["reduction"]["opened"] == ["block_0", "block_1"]
    assert (folder.path / "out" / "own.keras").is_file()
