"""A simulated machine: a clock that only its own calls move, with noise of a known kind.

It tests the verdicts on known noise, and counts their error rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kito.timing.budget import Budget
from kito.timing.paired import measure_pairs
from kito.timing.protocol import Calls, Pairs, Question

MOST = 5.0
"""The most that jitter adds to the logarithm of a call's time: 150 times as long."""


@dataclass(kw_only=True)
class Machine:
    """A clock that only its own calls move, and the noise of these calls.

    Attributes:
        seed: of every random number.
        jitter: spread of each call, of the logarithm of its time.
        tails: degrees of freedom of that jitter (Student's t); with few, a call now and then takes
            very much longer, or less. None: normal.
        drift: step, from call to call, of a level that wanders.
        memory: how much of the level stays from one call to the next.
        spikes: the share of calls that something else delays.
        slow: how much longer most calls take on a second core, to which the process moves and from
            which it comes back every 50 calls or so.
        modes: how much longer a call takes in its other mode, which a third of them are in.
        trend: slower with each call.
    """

    seed: int = 0
    jitter: float = 0.02
    tails: float | None = None
    drift: float = 0.0
    memory: float = 0.98
    spikes: float = 0.0
    slow: float = 0.0
    modes: float = 0.0
    trend: float = 0.0

    def __post_init__(self) -> None:
        self.now = 0.0
        self.calls: list[float] = []
        self._rng = np.random.default_rng(self.seed)
        self._level, self._on_slow_core = 0.0, False

    def clock(self) -> float:
        return self.now

    def call(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            rng = self._rng
            self._level = self.memory * self._level + self.drift * rng.standard_normal()
            self._on_slow_core ^= rng.random() < 0.02
            own = rng.standard_normal() if self.tails is None else rng.standard_t(self.tails)
            # Heavy tails have no end; a call of 1e17 s would stop the clock for all that follow.
            own = max(-MOST, min(self.jitter * own, MOST))
            factor = math.exp(self._level + own + self.trend * len(self.calls))
            if rng.random() < self.spikes:
                factor *= 1 + rng.exponential(1.5)
            if self._on_slow_core and rng.random() < 0.7:
                factor *= 1 + self.slow
            if rng.random() < 1 / 3:
                factor *= 1 + self.modes
            self.calls.append(seconds)
            self.now += seconds * factor

        return run


NOISES: dict[str, dict[str, float]] = {
    "independent": {"jitter": 0.05},
    "autocorrelated": {"jitter": 0.03, "drift": 0.04, "memory": 0.9},
    "bimodal": {"jitter": 0.03, "modes": 0.4},
    "drifting": {"jitter": 0.03, "drift": 0.02, "memory": 0.995, "trend": 0.0005},
    "heavy-tailed": {"jitter": 0.04, "tails": 2.0, "spikes": 0.05},
    "two cores": {"jitter": 0.03, "slow": 0.6},
}
"""Five kinds of noise, of 3 to 5 % of a call and more where it is uneven, and that of two cores."""


def simulated_check(
    noise: str, case: tuple[float, float], *, call_s: float, budget_s: Budget, seed: int
) -> Pairs:
    """One gate run on a machine with this kind of noise.

    Args:
        noise: a key of :data:`NOISES`.
        case: the true ratio, and the minimum that it is judged against.
        call_s: seconds of the reduced model's call, without noise.
        budget_s: as in kito.yaml.
        seed: of the noise, and of the order and the bootstrap.
    """
    ratio, minimum = case
    machine = Machine(seed=seed, **NOISES[noise])
    original, reduced = machine.call(call_s * ratio), machine.call(call_s)
    return measure_pairs(
        Calls(original, reduced, control=original),
        Question(minimum, confidence=0.95, budget_s=budget_s),
        rng=np.random.default_rng(seed + 10**6),
        clock=machine.clock,
    )
