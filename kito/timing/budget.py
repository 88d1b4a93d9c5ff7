"""How long a timing may take: a number of seconds, or ``auto``, which is what a decision needs.

With ``auto``, a timing of a minimum is looked at after 60, 120, 240, ... rounds, and ends at the
first look with a verdict. Without a verdict it goes on

- until 240 rounds, for any calls that allow so many in ten minutes;
- until 960 rounds, while the interval, if it went on shrinking as ``1 / sqrt(rounds)``, would allow
  a verdict by then, in ten minutes in all;
- until a minute has passed: as long as the calls are fast, more rounds cost nothing.

To end without a verdict makes no wrong one likelier, so this costs no confidence.

Nothing here imports Keras or NumPy: a session asks it before it starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Budget = float | Literal["auto"]
"""Seconds for warm-up and rounds, or ``auto``."""

FIRST_LOOK = 20
"""Rounds before the first verdict; each later look comes at twice as many."""
AUTO_FIRST_LOOK = 60
"""The same with ``auto``."""
USUAL_S = 60.0
"""With ``auto``, the seconds that fast calls may take, and slow ones if no verdict is in reach."""
MOST_S = 600.0
"""With ``auto``, the seconds that slow calls may take."""
ENOUGH_ROUNDS = 240
"""With ``auto``, rounds that are taken beyond the usual seconds where there is no verdict yet."""
MOST_ROUNDS = 960
"""The same, where a verdict is in reach."""
UNJUDGED = 0.25
"""The largest part of the budget that a timing without a minimum takes."""


@dataclass(frozen=True)
class Plan:
    """When a timing is looked at, and when it ends without a verdict.

    Attributes:
        first_look: rounds before the first look.
        usual_s: seconds that it may take in any case.
        most_s: seconds that it may take where more rounds can bring a verdict.
    """

    first_look: int
    usual_s: float
    most_s: float

    def horizon(self, rounds: int, seconds: float) -> int:
        """The rounds that the most seconds allow, at the pace so far; at most 960."""
        return min(MOST_ROUNDS, math.floor(rounds * self.most_s / max(seconds, 1e-9)))

    def limit_s(self, rounds: int, in_reach: bool) -> float:
        """The seconds after which a timing without a verdict ends.

        Args:
            rounds: how many there are.
            in_reach: whether there would be a verdict at the horizon.
        """
        more = rounds < ENOUGH_ROUNDS or (in_reach and rounds < MOST_ROUNDS)
        return self.most_s if more else self.usual_s


def plan(budget_s: Budget, judged: bool) -> Plan:
    """The plan for a budget; without a minimum to judge, ``auto`` is as a budget of 60 s."""
    if budget_s == "auto":
        if judged:
            return Plan(AUTO_FIRST_LOOK, USUAL_S, MOST_S)
        budget_s = USUAL_S
    limit = budget_s if judged else budget_s * UNJUDGED
    return Plan(FIRST_LOOK, limit, limit)


def limit_s(budget_s: Budget, judged: bool) -> float:
    """The most seconds that a timing may take, of which it may need only a few."""
    return plan(budget_s, judged).most_s
