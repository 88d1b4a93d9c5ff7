"""The checks of kito.yaml as test items: what passes, what fails, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable

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


def test_a_wrong_rewrite_fails_names_the_layer_and_publishes_nothing(
    repository: Repository,
) -> None:
    folder = repository(
        """
        version: 1
        models:
          small: {source: "nets:doubling", speedup: {device: cpu}}
        """
    )
    (folder.path / "nets.py").write_text(
        """
import keras
import kito


@keras.saving.register_keras_serializable("nets")
class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


class Wrong(kito.Transfer):
    def absorb_following(self, op, affine, rank):
        return kito.Change({})  # it claims to have absorbed what it drops


kito.register(Doubling, Wrong())


def doubling():
    image = keras.Input((4,), name="image")
    x = Doubling(name="twice")(image)
    x = keras.layers.BatchNormalization(name="bn", beta_initializer="ones")(x)
    return keras.Model(image, keras.layers.Dense(2, name="scores")(x))
"""
    )
    result = run(folder, "--kito-artifacts", "out")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "kito.yaml:3: small: equivalence: output 'scores' differs by *",
            "*against the original in float64*",
            "the first layer whose output departs is 'twice'",
            "kito.yaml:3: small: speedup*: not timed: equivalence did not pass",
            "kito.yaml:3: small: artifact*: not written: equivalence did not pass",
        ]
    )
    assert not list((folder.path / "out").glob("*.keras"))


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
