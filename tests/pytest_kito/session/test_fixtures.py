"""The fixtures that hand models to the users' tests, with and without ``--kito-check``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Repository = Callable[[str], pytest.Pytester]
CONFIG = """
    version: 1
    models:
      small: {source: "nets:net"}
      wide: {source: "nets:net", kwargs: {width: 6, name: wide}}
"""


@pytest.mark.parametrize("args", [(), ("--kito-check", "-k", "test_")])
def test_a_test_runs_once_per_model(repository: Repository, args: tuple[str, ...]) -> None:
    folder = repository(CONFIG)
    folder.makepyfile(
        """
        import numpy as np

        def test_models(kito_reduced, kito_original, kito_reduction):
            assert kito_reduction.model is kito_reduced
            assert kito_reduction.original is kito_original
            assert kito_reduction.batchnorms == (1, 0)
            x = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
            expected, got = (m.predict(x, verbose=0) for m in (kito_original, kito_reduced))
            np.testing.assert_allclose(expected, got, rtol=1e-4)
        """
    )
    result = folder.runpytest_inprocess("-v", *args)
    result.assert_outcomes(passed=2, deselected=6 if args else 0)
    result.stdout.fnmatch_lines(
        ["*::test_models[[]small] PASSED*", "*::test_models[[]wide] PASSED*"]
    )


def test_the_marker_picks_models(repository: Repository) -> None:
    folder = repository(CONFIG)
    folder.makepyfile(
        """
        import pytest

        @pytest.mark.kito_model("wide")
        def test_one(kito_reduced):
            assert kito_reduced.name == "wide"
        """
    )
    folder.runpytest_inprocess("--strict-markers").assert_outcomes(passed=1)


@pytest.mark.parametrize("marker", ['("narrow")', "()", '("wide", width=3)'])
def test_a_marker_that_names_no_model_is_an_error(repository: Repository, marker: str) -> None:
    folder = repository(CONFIG)
    folder.makepyfile(
        f"""
        import pytest

        @pytest.mark.kito_model{marker}
        def test_one(kito_reduced): ...
        """
    )
    result = folder.runpytest_inprocess()
    assert result.ret != 0
    output = result.stdout.str() + result.stderr.str()
    assert "kito_model takes names of models declared in kito.yaml" in output
    assert "declared: small, wide" in output


def test_a_model_of_the_tests_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import keras
        import pytest

        def test_own(kito_reduce):
            layers = [keras.Input((4,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
            model = keras.Sequential(layers)
            assert len(kito_reduce(model).layers) == 1
            assert len(kito_reduce(model, passes=("drop_identity",)).layers) == 2
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_model_that_cannot_be_built_fails_the_test_shortly(repository: Repository) -> None:
    folder = repository("{version: 1, models: {lost: {source: 'nets:broken'}}}")
    folder.makepyfile("def test_lost(kito_reduced): ...")
    result = folder.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["model 'lost' of kito.yaml: *the weights are lost*"])


def test_a_fixture_without_kito_yaml_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(kito_reduced): ...")
    result = pytester.runpytest_inprocess()
    assert result.ret != 0
    assert "there is no such file" in result.stdout.str() + result.stderr.str()
