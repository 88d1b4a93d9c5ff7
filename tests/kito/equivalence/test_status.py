"""The status of each output, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from kito.equivalence.float64 import Errors, Float64Run
from kito.equivalence.result import OutputComparison
from kito.equivalence.status import Status, advise, judge_outputs, needs_float64, reasons

ROUNDING = Errors((1e-6, 1e-6), (1e-6, 1e-6), mixed=False)
WRONG = Errors((1e-6, 1e-2), (1e-6, 1e-2), mixed=False)


def output(**changes: Any) -> OutputComparison:
    """An output of scale 1 that varies by 1; it allows 1e-4."""
    figures: dict[str, Any] = {
        "max_abs": 0.0,
        "mean_abs": 0.0,
        "scale": 1.0,
        "spread": 1.0,
        "rtol": 1e-4,
        "atol": 0.0,
        "strict": False,
        **changes,
    }
    return OutputComparison(required_rtol=figures["max_abs"], **figures)


within = output()
beyond = output(max_abs=5e-4)
strict = output(max_abs=5e-4, strict=True)
faulty = output(faulty="1 of 9 values of the original are NaN or infinite")
insensitive = output(spread=1e-6)
insensitive_beyond = output(spread=1e-6, max_abs=5e-4)


@pytest.mark.parametrize(
    "outputs, by_default, requested",
    [
        ([within], False, True),
        ([within, beyond], True, True),
        ([beyond, strict], False, True),  # nothing could excuse the second
        ([beyond, insensitive], False, True),
        ([insensitive_beyond], False, True),
        ([beyond, faulty], False, False),
    ],
)
def test_when_float64_is_needed(
    outputs: list[OutputComparison], by_default: bool, requested: bool
) -> None:
    assert needs_float64(outputs, None) == by_default
    assert needs_float64(outputs, "float64") == requested


@pytest.mark.parametrize(
    "one, errors, by_default, requested",
    [
        (within, ROUNDING, Status.OK, Status.OK),
        (within, WRONG, Status.OK, Status.OK),
        (beyond, ROUNDING, Status.EXCUSED, Status.EXCUSED),
        (beyond, WRONG, Status.BEYOND, Status.BEYOND),
        (beyond, None, Status.BEYOND, Status.BEYOND),
        (strict, ROUNDING, Status.BEYOND, Status.BEYOND),
        (faulty, None, Status.FAULTY, Status.FAULTY),
        (insensitive_beyond, ROUNDING, Status.EXCUSED, Status.EXCUSED),
    ],
)
def test_the_status(
    one: OutputComparison, errors: Errors | None, by_default: Status, requested: Status
) -> None:
    run = None if errors is None else Float64Run({"a": errors})
    for reference, status in ((None, by_default), ("float64", requested)):
        (judged,) = judge_outputs({"a": one}, reference, run)
        assert judged.status is status


def test_a_problem_of_an_output_within_its_tolerance_counts_only_where_float64_is_requested() -> (
    None
):
    run = Float64Run({"a": ROUNDING, "b": WRONG})
    outputs = {"a": beyond, "b": within}
    assert reasons(judge_outputs(outputs, None, run)) == []
    (reason,) = reasons(judge_outputs(outputs, "float64", run))
    assert reason.startswith("output 'b': against the original in float64")


def test_a_failed_float64_run_excuses_nothing() -> None:
    run = Float64Run(failure="the original cannot be run in float64: no kernel")
    judged = judge_outputs({"a": beyond, "b": within}, None, run)
    assert [x.status for x in judged] == [Status.BEYOND, Status.OK]
    assert [reason.partition("; rtol")[0] for reason in reasons(judged)] == [
        "output 'a' differs by 0.0005, allowed 0.0001 (rtol 0.0001 of its scale 1, atol 0)",
        "output 'a': the original cannot be run in float64: no kernel",
    ]


def test_the_most_basic_reasons_go_first() -> None:
    outputs = {"a": strict, "b": insensitive_beyond, "c": faulty}
    starts = [reason.split(",")[0] for reason in reasons(judge_outputs(outputs, None, None))]
    assert starts == [
        "output 'c': 1 of 9 values of the original are NaN or infinite",
        "output 'b' is insensitive: across samples it varies by 1e-06",
        "output 'a' differs by 0.0005",
        "output 'b' differs by 0.0005",
    ]


WIDE = output(rtol=0.5, strict=True)  # insensitive, since its tolerance is


@pytest.mark.parametrize(
    "outputs, errors, reference, line",
    [
        ({"a": within}, {}, None, None),
        ({"a": strict}, {}, None, "tolerance: {rtol: 0.0005}"),
        ({"a": strict, "b": faulty}, {}, None, None),
        ({"a": WIDE}, {}, None, "tolerance: {rtol: 0.0001}"),
        ({"a": WIDE, "b": strict}, {}, None, None),
        ({"a": beyond}, {"a": ROUNDING}, None, None),
        (
            {"a": beyond},
            {"a": WRONG},
            None,
            "tolerance: {rtol: 0.0005}  # no rounding: its error is 0.01, the original's own 1e-06",
        ),
        ({"a": beyond}, {"a": WRONG}, "float64", None),  # a wider tolerance would not help
        ({"a": strict}, {"a": ROUNDING}, "float64", "tolerance: {rtol: 0.0005}"),
    ],
)
def test_the_advice(
    outputs: dict[str, OutputComparison],
    errors: dict[str, Errors],
    reference: str | None,
    line: str | None,
) -> None:
    run = Float64Run(errors) if errors else None
    assert advise(judge_outputs(outputs, reference, run), reference, 1e-4).line == line
