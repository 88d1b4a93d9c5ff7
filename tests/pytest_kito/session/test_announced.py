"""Before it starts, a session says how long its timings may take."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_kito.checks.declared import InEngine
from pytest_kito.checks.time_limit import timing_plan
from pytest_kito.config.schema import SpeedupSpec

Repository = Callable[[str], pytest.Pytester]
MODELS = """
    version: 1
    models:
      small: {source: "nets:net", speedup: {device: cpu, batch_size: [1, 2], budget_s: 2}}
      large: {source: "nets:net", speedup: {min: 0.01, device: cpu}}
"""


@pytest.mark.parametrize(
    "args, lines",
    [
        (
            ["-k", "small and speedup"],
            ["kito: 2 speed-ups to measure, at most 1 s each, at most 1 s in all"],
        ),
        (["-k", "small and equivalence"], []),
        (["-k", "small and speedup", "-q"], []),
        (["--collect-only"], []),
    ],
)
def test_it_counts_the_selected_checks(
    args: list[str], lines: list[str], repository: Repository
) -> None:
    result = repository(MODELS).runpytest_inprocess("--kito-check", *args)
    assert result.ret == 0
    assert [line for line in result.outlines if line.startswith("kito: ")] == lines


def test_it_is_said_before_the_first_check(repository: Repository) -> None:
    result = repository(MODELS).runpytest_inprocess("--kito-check", "-v", "-k", "large")
    lines = result.outlines
    said = lines.index("kito: 1 speed-up to measure, at most 10 min")
    first = next(n for n, line in enumerate(lines) if line.startswith("kito.yaml::large"))
    assert said < first


def test_an_engine_goes_by_its_own_minimum() -> None:
    spec = SpeedupSpec.model_validate({"min": 1.1, "engines": {"onnx": {}, "litert": {"min": 1}}})
    limits = [timing_plan(spec, timing).most_s for timing in (1, InEngine("onnx", 1))]
    assert limits == [600, 15]
    assert timing_plan(spec, InEngine("litert", 1)).most_s == 600
