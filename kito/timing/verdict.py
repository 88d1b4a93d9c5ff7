"""The verdict on a speed-up, and the sentence that explains it.

A verdict is on the interval, never on the point: a ratio that lies above the minimum by luck would
lie below it tomorrow.
"""

from __future__ import annotations

from typing import Literal

from kito.errors import counted
from kito.timing.budget import MOST_S
from kito.timing.protocol import Pairs, Question
from kito.timing.statistics import least_for


def judge(low: float, high: float, floor: float, minimum: float) -> Literal["pass", "fail"] | None:
    """The verdict on an interval of the ratio; None where it allows none.

    A claimed speed-up within the noise floor looks the same as no speed-up. Such a minimum is
    judged only where the whole interval lies outside the noise: then it is clear on which side.

    Args:
        low: low end of the interval.
        high: high end of the interval.
        floor: the noise floor: how far from 1 the original's ratio to itself can seem to be.
        minimum: the ratio to reach.
    """
    if in_the_noise(minimum, floor) and low <= 1 + floor and high >= 1 - floor:
        return None
    if low >= minimum:
        return "pass"
    return "fail" if high < minimum else None


def in_the_noise(minimum: float, floor: float) -> bool:
    """Whether the original seems to reach this minimum over itself, so that noise can reach it."""
    return 1 < minimum <= 1 + floor


def explain(pairs: Pairs, question: Question) -> str:
    """One sentence that says what was measured and what follows for the minimum."""
    minimum, confidence = question.minimum, question.confidence
    limit_s, more = question.budget_s, "raise budget_s"
    if limit_s == "auto":
        limit_s, more = MOST_S, f"set budget_s to more than {MOST_S:g}"
    count, floor = len(pairs.original), pairs.noise_floor
    span = f"[{pairs.low:.3f}, {pairs.high:.3f}]"
    if minimum is None:
        return (
            f"{pairs.ratio:.3f}x as fast, {confidence:.0%} interval {span}; no minimum is declared"
        )
    sure = f"with {confidence:.0%} confidence"
    if pairs.verdict == "pass":
        return f"at least {pairs.low:.3f}x as fast {sure}, which reaches the minimum {minimum:g}"
    if pairs.verdict == "fail":
        return f"at most {pairs.high:.3f}x as fast {sure}, which is below the minimum {minimum:g}"
    if count < least_for((1 - confidence) / 2):
        why = (
            f"only {counted(count, 'pair of calls fits', 'pairs of calls fit')} into the budget of "
            f"{limit_s:g} s, too few for an interval of {confidence:.0%}: {more} or use a smaller "
            "batch_size"
        )
    elif in_the_noise(minimum, floor):
        why = (
            f"the minimum {minimum:g} is within the noise floor {1 + floor:.3f}, which the "
            f"original reaches over itself here, and so is a part of the interval {span}: use a "
            f"quieter machine, {more}, or declare a minimum that can be told from noise"
        )
    else:
        why = (
            f"the minimum {minimum:g} lies within the interval {span} after "
            f"{counted(count, 'pair')} and {pairs.seconds:.3g} s: the machine is too noisy, or the "
            f"speed-up too close to the minimum, to tell; {more} or use a quieter machine"
        )
    return f"inconclusive, which does not mean too slow: {why}"
