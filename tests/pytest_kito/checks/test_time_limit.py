"""What is said of the time that timings may take."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kito.checks.time_limit import announcement, duration, timing_plan
from pytest_kito.config.schema import SpeedupSpec


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.2, "1 s"),
        (15.0, "15 s"),
        (120.0, "120 s"),
        (121.0, "3 min"),
        (600.0, "10 min"),
        (3600.0, "1 h"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_a_duration_is_rounded_up(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "keys, seconds",
    [
        ({"min": 1.1}, 600),
        ({"devices": {"T4": 1.1}}, 600),
        ({}, 15),
        ({"min": 1.1, "budget_s": 20}, 20),
        ({"budget_s": 20}, 5),
    ],
)
def test_the_limit_of_a_declared_timing(keys: dict[str, Any], seconds: float) -> None:
    assert timing_plan(SpeedupSpec.model_validate(keys)).most_s == seconds


def test_the_announcement() -> None:
    assert announcement([]) is None
    assert announcement([600]) == "kito: 1 speed-up to measure, at most 10 min"
    text = "kito: 3 speed-ups to measure, at most 10 min each, at most 21 min in all"
    assert announcement([600, 15, 600]) == text
