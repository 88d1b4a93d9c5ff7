"""The line of kito.yaml that is suggested, and where none is."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kito.equivalence.result import OutputComparison
from kito.equivalence.tolerance import about_insensitive, about_tolerance, rtol_text


def output(required: float = 0.0, **changes: Any) -> OutputComparison:
    """An output of scale 2 that needs the rtol ``required``."""
    figures: dict[str, Any] = {
        "max_abs": 2 * required + changes.get("atol", 0.0),
        "mean_abs": 0.0,
        "scale": 2.0,
        "spread": 2.0,
        "rtol": 1e-4,
        "atol": 0.0,
        "required_rtol": required,
        "strict": False,
    }
    return OutputComparison(**{**figures, **changes})


def advise(**outputs: OutputComparison) -> Any:
    beyond = {name: x for name, x in outputs.items() if not x.passed}
    return about_tolerance(outputs, beyond, {}, 1e-4)


@pytest.mark.parametrize(
    "outputs, line",
    [
        ({"a": output(2.21e-4)}, "tolerance: {rtol: 0.00023}"),
        ({"a": output(3e-5, rtol=0.0, strict=True)}, "tolerance: {rtol: 3.0e-05}"),
        # Of those that all differ too much, the one that needs most.
        ({"a": output(2.21e-4), "b": output(1.5e-3)}, "tolerance: {rtol: 0.0015}"),
        ({"a": output(2.21e-4), "b": output()}, "tolerance: {outputs: {a: {rtol: 0.00023}}}"),
        # What is written stays, for the line takes the place of it.
        (
            {"a": output(3e-5, rtol=1e-6, strict=True), "b": output(rtol=1e-6, strict=True)},
            "tolerance: {rtol: 1.0e-06, outputs: {a: {rtol: 3.0e-05}}}",
        ),
        (
            {"a": output(3e-4, atol=1e-3), "b": output(rtol=1e-5, strict=True), "c": output()},
            "tolerance: {outputs: {a: {rtol: 0.0003, atol: 0.001}, b: {rtol: 1.0e-05}}}",
        ),
        (
            {"a": output(3e-4), "b": output(rtol=1e-5, atol=1e-7, strict=True)},
            "tolerance: {rtol: 1.0e-05, atol: 1.0e-07, outputs: {a: {rtol: 0.0003, atol: 0.0}}}",
        ),
        # One tolerance for both would be too wide for the first.
        (
            {"a": output(2e-4, spread=0.05), "b": output(5e-3)},
            "tolerance: {outputs: {a: {rtol: 0.0002}, b: {rtol: 0.005}}}",
        ),
        ({"a: b": output(2e-4), "c": output()}, 'tolerance: {outputs: {"a: b": {rtol: 0.0002}}}'),
        ({"no": output(2e-4), "c": output()}, 'tolerance: {outputs: {"no": {rtol: 0.0002}}}'),
    ],
)
def test_the_line(outputs: dict[str, OutputComparison], line: str) -> None:
    assert advise(**outputs).line == line
    # A YAML 1.1 reader gets the numbers that are meant.
    (tolerance,) = yaml.safe_load(line).values()
    numbers = [tolerance, *tolerance.get("outputs", {}).values()]
    assert all(isinstance(x[k], float) for x in numbers for k in x if k != "outputs")
    for name in set(outputs) & set(tolerance.get("outputs", {})):
        own = tolerance["outputs"][name]
        allowed = own.get("atol", tolerance.get("atol", 0.0)) + own["rtol"] * 2.0
        assert outputs[name].max_abs <= allowed


@pytest.mark.parametrize(
    "found, why",
    [
        (output(0.0111), "would need rtol 0.012, and that is no rounding"),
        (output(float("inf"), scale=0.0), "would need rtol inf, and that is no rounding"),
        (output(5e-3, spread=0.5), "which no wrong model could fail, as it varies by only 0.5"),
    ],
)
def test_no_tolerance_is_suggested_that_would_hide_a_wrong_model(
    found: OutputComparison, why: str
) -> None:
    advice = advise(a=found)
    assert advice.line is None
    assert why in advice.text


def test_the_limit_is_that_of_the_models_precision() -> None:
    half = output(0.013, rtol=1e-2, spread=4.0)
    assert about_tolerance({"a": half}, {"a": half}, {}, 1e-2).line == "tolerance: {rtol: 0.013}"


def test_what_float64_showed_stays_beside_the_tolerance() -> None:
    found = output(2e-3)
    advice = about_tolerance({"a": found}, {"a": found}, {"a": (1e-7, 2e-3)}, 1e-4)
    assert advice.line == (
        "tolerance: {rtol: 0.002}  # no rounding: its error is 0.002, the original's own 1e-07"
    )
    assert yaml.safe_load(advice.line) == {"tolerance": {"rtol": 0.002}}
    assert "please report it" in advice.text


def test_a_tolerance_that_is_too_wide_is_narrowed() -> None:
    wide = output(1e-6, rtol=0.5, strict=True)
    advice = about_insensitive({"a": wide, "b": output()}, {"a": wide}, 1e-4)
    assert advice.line == "tolerance: {outputs: {a: {rtol: 0.0001}}}"
    assert "too wide" in advice.text
    same = output(1e-6, rtol=0.5, strict=True, spread=0.0)
    assert about_insensitive({"a": same}, {"a": same}, 1e-4).line is None


def test_numbers_are_rounded_up() -> None:
    assert [rtol_text(x) for x in (0.0, 1e-4, 1.01e-4, 9.91e-4, 0.5, float("inf"))] == [
        "0",
        "0.0001",
        "0.00011",
        "0.001",
        "0.5",
        "inf",
    ]
