"""Verdicts on intervals, and the sentences that explain them."""

from __future__ import annotations

import pytest

from kito.timing.protocol import Pairs, Question, Verdict
from kito.timing.verdict import explain, judge


@pytest.mark.parametrize(
    "low, high, floor, minimum, verdict",
    [
        (1.20, 1.30, 0.01, 1.20, "pass"),
        (1.10, 1.19, 0.01, 1.20, "fail"),
        (1.19, 1.21, 0.01, 1.20, None),
        # 1 is "not slower", which an interval can show however much noise there is.
        (1.00, 1.10, 0.20, 1.00, "pass"),
        (0.90, 0.99, 0.20, 1.00, "fail"),
        # A claim within the noise floor needs an interval outside of it.
        (1.03, 1.05, 0.06, 1.02, None),
        (1.07, 1.10, 0.06, 1.02, "pass"),
        (0.95, 1.01, 0.06, 1.02, None),
        (0.85, 0.93, 0.06, 1.02, "fail"),
        (0.50, 0.60, 0.06, 0.0, "pass"),
    ],
)
def test_the_verdict_on_an_interval(
    low: float, high: float, floor: float, minimum: float, verdict: str | None
) -> None:
    assert judge(low, high, floor, minimum) == verdict


@pytest.mark.parametrize(
    "verdict, minimum, floor, count, sentence",
    [
        (None, None, 0.01, 40, "1.200x as fast, 95% interval [1.150, 1.250]; no minimum is"),
        (
            "pass",
            1.1,
            0.01,
            40,
            "at least 1.150x as fast with 95% confidence, which reaches the minimum 1.1",
        ),
        (
            "fail",
            1.3,
            0.01,
            40,
            "at most 1.250x as fast with 95% confidence, which is below the minimum 1.3",
        ),
        (
            "inconclusive",
            1.2,
            0.01,
            40,
            "the minimum 1.2 lies within the interval [1.150, 1.250] after 40 pairs and 60 s",
        ),
        (
            "inconclusive",
            1.1,
            0.2,
            40,
            "the minimum 1.1 is within the noise floor 1.200, which",
        ),
        (
            "inconclusive",
            1.1,
            0.01,
            5,
            "only 5 pairs of calls fit into the budget of 60 s, too few",
        ),
    ],
)
def test_the_sentence_that_explains_it(
    verdict: Verdict | None, minimum: float | None, floor: float, count: int, sentence: str
) -> None:
    times = (0.01,) * count
    pairs = Pairs(1.2, 1.15, 1.25, floor, verdict, original=times, reduced=times, seconds=60.0)
    explanation = explain(pairs, Question(minimum, confidence=0.95, budget_s=60.0))
    assert sentence in explanation
    assert explanation.startswith("inconclusive, which does not mean too slow") == (
        verdict == "inconclusive"
    )


@pytest.mark.parametrize(
    "seconds, count, sentence",
    [
        (82.4, 240, "after 240 pairs and 82.4 s: the machine is too noisy"),
        (600.0, 5, "only 5 pairs of calls fit into the budget of 600 s"),
    ],
)
def test_with_auto_it_says_what_was_taken_and_how_to_take_more(
    seconds: float, count: int, sentence: str
) -> None:
    times = (0.01,) * count
    pairs = Pairs(1.2, 1.15, 1.25, 0.01, "inconclusive", times, times, seconds)
    explanation = explain(pairs, Question(1.2, budget_s="auto"))
    assert sentence in explanation
    assert "set budget_s to more than 600 or use a " in explanation
