"""Options and ini values, and the ways to use them wrongly."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

Repository = Callable[[str], pytest.Pytester]
ONE = "{version: 1, models: {small: {source: 'nets:net'}}}"


def test_without_kito_yaml_the_check_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--kito-check")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*kito.yaml*there is no such file*--kito-config*"])


def test_every_problem_of_kito_yaml_is_reported_and_nothing_is_built(
    repository: Repository,
) -> None:
    folder = repository(
        """
        version: 1
        models:
          small:
            source: nets:broken
            speedup: {min: -1}
            tolerance: {rtol: -0.1}
            artefacts: [keras]
        """
    )
    result = folder.runpytest_inprocess("--kito-check")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*kito.yaml:5: models.small.speedup.min: *",
            "*kito.yaml:6: models.small.tolerance.rtol: *",
            "*kito.yaml:7: models.small.artefacts: *artifacts*",
        ]
    )
    result.stdout.no_fnmatch_line("*the weights are lost*")


def test_a_format_without_its_packages_is_a_usage_error_of_the_gate_alone(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net', artifacts: [onnx]}}}")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = folder.runpytest_inprocess("--kito-check")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*kito.yaml:1: *'onnx' needs*'pytest-kito[[]onnx]'"])
    folder.makepyfile("def test_it(kito_reduced): assert kito_reduced.built")
    folder.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_configuration_may_lie_elsewhere(repository: Repository) -> None:
    folder = repository(ONE)
    other = folder.mkdir("sub")
    (folder.path / "kito.yaml").rename(other / "models.yaml")
    (folder.path / "nets.py").rename(other / "nets.py")
    for args, ini in [
        (("--kito-config", "sub/models.yaml"), ""),
        ((), "kito_config=sub/models.yaml"),
    ]:
        folder.makeini(f"[pytest]\n{ini}")
        result = folder.runpytest_inprocess("--kito-check", "--collect-only", "-q", *args)
        result.stdout.fnmatch_lines(["sub/models.yaml::small::reduction"])


@pytest.mark.parametrize(
    "args, message",
    [
        (("--kito-shard", "3/2"), "*kito_shard: '3/2' is not a shard; allowed: I/N*"),
        (("--kito-device", "tpu"), "*--kito-device*tpu*"),
        (
            ("-o", "kito_device=tpu"),
            "*kito_device: 'tpu' is not a device; allowed: auto, cpu, gpu*",
        ),
    ],
)
def test_wrong_values(repository: Repository, args: tuple[str, ...], message: str) -> None:
    result = repository(ONE).runpytest_inprocess("--kito-check", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_an_unused_plugin_imports_no_keras(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_heavy_is_imported():
            heavy = {"keras", "tensorflow", "numpy", "yaml", "pydantic", "kito"}
            assert not heavy & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_help_lists_the_options(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(
        ["*--kito-check*", "*--kito-artifacts=DIR*", "*--kito-timings=FILE*", "*kito_check (bool)*"]
    )


def test_the_markers_are_known(repository: Repository) -> None:
    result = repository(ONE).runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.kito: *", "@pytest.mark.kito_model(*names): *"])
