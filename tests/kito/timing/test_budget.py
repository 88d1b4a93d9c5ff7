"""How long a timing may take."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kito.timing.budget import Budget, Plan, plan

AUTO = plan("auto", judged=True)


@pytest.mark.parametrize(
    "budget_s, judged, expected",
    [
        (60.0, True, Plan(20, 60, 60)),
        (60.0, False, Plan(20, 15, 15)),
        ("auto", True, Plan(60, 60, 600)),
        ("auto", False, Plan(20, 15, 15)),
    ],
)
def test_the_plan_of_a_budget(budget_s: Budget, judged: bool, expected: Plan) -> None:
    assert plan(budget_s, judged) == expected


@pytest.mark.parametrize(
    "rounds, in_reach, seconds",
    [
        (60, False, 600),
        (239, False, 600),
        (240, False, 60),
        (240, True, 600),
        (959, True, 600),
        (960, True, 60),
    ],
)
def test_auto_takes_more_than_a_minute_where_rounds_help(
    rounds: int, in_reach: bool, seconds: float
) -> None:
    assert AUTO.limit_s(rounds, in_reach) == seconds
    assert plan(7.0, judged=True).limit_s(rounds, in_reach) == 7


def test_the_horizon_is_what_ten_minutes_hold() -> None:
    assert AUTO.horizon(60, 150.0) == 240
    assert AUTO.horizon(60, 3.0) == 960
    assert AUTO.horizon(3, 0.0) == 960, "a clock that has not moved"


def test_neither_keras_nor_numpy_is_imported() -> None:
    code = (
        "import kito.timing.budget, sys; sys.exit('keras' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
