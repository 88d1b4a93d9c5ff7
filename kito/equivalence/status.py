"""The status of each compared output, and what follows from all of them.

Every output has one :class:`Status`. Apart from it, an output that is not faulty can be
*insensitive*: it varies so little across samples that the comparison could not have failed.

A comparison passes if every output is OK or EXCUSED, none is insensitive, and the float64 run,
where there was one, found no problem. What else follows, by the first row that applies:

======================================  ========================  ==================================
outputs                                 float64 run               advice
======================================  ========================  ==================================
one is FAULTY                           never                     none
some are insensitive, all within        where requested           a narrower tolerance
some are insensitive, some differ       where requested           none
one with a strict tolerance differs     where requested           a wider tolerance for those BEYOND
some differ, under the default          always                    a wider tolerance for those BEYOND
all are within                          where requested           none
======================================  ========================  ==================================

Where float64 was requested and found a problem, no wider tolerance is advised: it would not help.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from kito.equivalence.float64 import Errors, Float64Run
from kito.equivalence.result import SENSITIVITY, OutputComparison
from kito.equivalence.tolerance import Advice, about_insensitive, about_tolerance, rtol_text


class Status(Enum):
    """How one output of the reduced model relates to the original's."""

    OK = "within its tolerance"
    EXCUSED = "beyond the default tolerance, by rounding only, as the float64 run shows"
    BEYOND = "beyond its tolerance"
    FAULTY = "not comparable: NaN, infinity, or another kind of dtype"


@dataclass(frozen=True)
class JudgedOutput:
    """One output with its status.

    Attributes:
        name: the output's name.
        output: the figures.
        status: what they mean.
        errors: against the original in float64; None where they were not measured.
        problem: the problem that the float64 run found; empty where there is none, or where the
            output needed no float64 run.
    """

    name: str
    output: OutputComparison
    status: Status
    errors: Errors | None = None
    problem: str = ""

    @property
    def differs(self) -> bool:
        """Whether the difference is beyond the tolerance, excused or not."""
        return self.status in (Status.BEYOND, Status.EXCUSED)


def needs_float64(outputs: Iterable[OutputComparison], reference: str | None) -> bool:
    """Whether both models have to be compared with the original in float64.

    Args:
        outputs: the figures of every output.
        reference: ``float64`` where the user requests it always, else None.
    """
    outputs = list(outputs)
    if any(output.faulty for output in outputs):
        return False
    if reference is not None:
        return True
    beyond = [output for output in outputs if not output.passed]
    strict = any(output.strict for output in beyond)
    return bool(beyond) and not strict and not any(output.insensitive for output in outputs)


def judge_outputs(
    outputs: Mapping[str, OutputComparison], reference: str | None, run: Float64Run | None
) -> list[JudgedOutput]:
    """The status of each output, in order.

    Args:
        outputs: the figures of every output, by name.
        reference: ``float64`` where the user requests it always, else None.
        run: the float64 run; None where there was none.
    """
    return [_judge(name, output, reference, run) for name, output in outputs.items()]


def _judge(
    name: str, output: OutputComparison, reference: str | None, run: Float64Run | None
) -> JudgedOutput:
    if output.faulty:
        return JudgedOutput(name, output, Status.FAULTY)
    if run is None:
        return JudgedOutput(name, output, Status.OK if output.passed else Status.BEYOND)
    errors, problem = run.errors.get(name), run.problem(name)
    if output.passed:
        return JudgedOutput(name, output, Status.OK, errors, problem if reference else "")
    rounding = not output.strict and not problem
    status = Status.EXCUSED if rounding else Status.BEYOND
    return JudgedOutput(name, output, status, errors, problem)


def reasons(judged: list[JudgedOutput]) -> list[str]:
    """Why the comparison does not pass; empty where it passes. The most basic reasons go first."""
    return [
        *(f"output '{x.name}': {x.output.faulty}" for x in judged if x.status is Status.FAULTY),
        *(_insensitive(x.name, x.output) for x in judged if x.output.insensitive),
        *(_beyond(x.name, x.output) for x in judged if x.status is Status.BEYOND),
        *(f"output '{x.name}': {x.problem}" for x in judged if x.problem),
    ]


def _beyond(name: str, output: OutputComparison) -> str:
    return (
        f"output '{name}' differs by {output.max_abs:.3g}, allowed {output.allowed:.3g} (rtol "
        f"{output.rtol:g} of its scale {output.scale:.3g}, atol {output.atol:g}); rtol "
        f"{rtol_text(output.required_rtol)} would have passed"
    )


def _insensitive(name: str, output: OutputComparison) -> str:
    return (
        f"output '{name}' is insensitive: across samples it varies by {output.spread:.3g}, less "
        f"than {SENSITIVITY} times the allowed difference {output.allowed:.3g}: this comparison "
        "could not have failed. Feed more varied inputs or real data (inputs.data), or set "
        "weights: random"
    )


def advise(judged: list[JudgedOutput], reference: str | None, default_rtol: float) -> Advice:
    """The tolerance to suggest, as the table of this module has it.

    Args:
        judged: every output with its status.
        reference: ``float64`` where the user requests it always, else None.
        default_rtol: the default relative tolerance of the models.
    """
    if any(x.status is Status.FAULTY for x in judged):
        return Advice()
    outputs = {x.name: x.output for x in judged}
    insensitive = {x.name: x.output for x in judged if x.output.insensitive}
    if insensitive:
        differ = any(x.differs for x in judged)
        return Advice() if differ else about_insensitive(outputs, insensitive, default_rtol)
    beyond = [x for x in judged if x.status is Status.BEYOND]
    if not beyond or (reference is not None and any(x.problem for x in judged)):
        return Advice()
    disproved = {x.name: x.errors.rms for x in beyond if x.errors is not None and x.problem}
    return about_tolerance(outputs, {x.name: x.output for x in beyond}, disproved, default_rtol)
