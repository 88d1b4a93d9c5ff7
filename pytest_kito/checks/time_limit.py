"""How long the timings of a session may take; known before anything is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kito.errors import counted
from kito.timing.budget import Plan, plan
from pytest_kito.checks.declared import InEngine

if TYPE_CHECKING:
    from pytest_kito.config.schema import SpeedupSpec


def timing_plan(spec: SpeedupSpec, timing: object = None) -> Plan:
    """The plan of one of a model's timings; ``most_s`` is its limit in seconds.

    Args:
        spec: how the model is timed.
        timing: the parameter of the check, which may name an engine with a minimum of its own.
    """
    own = spec.in_engine(timing.engine) if isinstance(timing, InEngine) else spec
    return plan(own.budget_s, judged=own.minimum is not None or bool(own.devices))


def announcement(limits_s: Sequence[float]) -> str | None:
    """Say how long timings with these limits take at most; None if there are none."""
    if not limits_s:
        return None
    total = f"at most {duration(sum(limits_s))}"
    if len(limits_s) == 1:
        return f"kito: 1 speed-up to measure, {total}"
    each = f"at most {duration(max(limits_s))} each"
    return f"kito: {counted(len(limits_s), 'speed-up')} to measure, {each}, {total} in all"


def duration(seconds: float) -> str:
    """A duration, rounded up: ``15 s``, ``10 min``, ``2 h 5 min``."""
    if seconds <= 120:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return " ".join(parts)
