"""The verdict on a speed-up, and the sentence that explains it.

A verdict is on the interval, never on the point: a ratio that lies above the minimum by luck would
lie below it tomorrow.
"""

from __future__ import annotations

from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive"]


def judge(low: float, high: float, floor: float, minimum: float) -> Literal["pass", "fail"] | None:
    """The verdict on an interval of the ratio; None where it allows none.

    A claimed speed-up within the noise floor cannot be told from none, so such a minimum is judged
    only where the whole interval lies outside the noise: then it is clear on which side.

    Args:
        low: low end of the interval.
        high: high end of it.
        floor: how far from 1 the original's ratio to itself can seem to be.
        minimum: the ratio to reach.
    """
    if in_the_noise(minimum, floor) and low <= 1 + floor and high >= 1 - floor:
        return None
    if low >= minimum:
        return "pass"
    return "fail" if high < minimum else None


def in_the_noise(minimum: float, floor: float) -> bool:
    """Whether the minimum is a speed-up that the original seems to have over itself here."""
    return 1 < minimum <= 1 + floor


def explain(
    verdict: Verdict | None,
    ratio: float,
    interval: tuple[float, float],
    *,
    floor: float,
    minimum: float | None,
    confidence: float,
    pairs: int,
    few: bool,
    budget_s: float,
) -> str:
    """One sentence on what the figures say.

    Args:
        verdict: None where there was nothing to judge.
        ratio: the median.
        interval: (low, high) of it.
        floor: how far from 1 the original's ratio to itself can seem to be.
        minimum: the ratio to reach, or None.
        confidence: of the interval.
        pairs: how many were timed.
        few: whether they are too few for any interval of that confidence.
        budget_s: seconds that there were.
    """
    low, high = interval
    span = f"[{low:.3f}, {high:.3f}]"
    if minimum is None:
        return f"{ratio:.3f}x as fast, {confidence:.0%} interval {span}; no minimum is declared"
    sure = f"with {confidence:.0%} confidence"
    if verdict == "pass":
        return f"at least {low:.3f}x as fast {sure}, which reaches the minimum {minimum:g}"
    if verdict == "fail":
        return f"at most {high:.3f}x as fast {sure}, which is below the minimum {minimum:g}"
    if few:
        why = (
            f"only {pairs} pairs of calls fit into the budget of {budget_s:g} s, too few for an "
            f"interval of {confidence:.0%}: raise budget_s or use a smaller batch_size"
        )
    elif in_the_noise(minimum, floor):
        why = (
            f"the minimum {minimum:g} is within the noise floor {1 + floor:.3f}, which the "
            f"original reaches over itself here, and so is a part of the interval {span}: use a "
            "quieter machine, raise budget_s, or declare a minimum that can be told from noise"
        )
    else:
        why = (
            f"the minimum {minimum:g} lies within the interval {span} after {pairs} pairs and "
            f"{budget_s:g} s: the machine is too noisy, or the speed-up too close to the minimum, "
            "to tell; raise budget_s or use a quieter machine"
        )
    return f"inconclusive, which does not mean too slow: {why}"
