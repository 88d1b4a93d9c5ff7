"""The result of a comparison: the figures of each output, the verdict, and the message."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kito.equivalence.departure import Departure
from kito.errors import counted, html_table

SENSITIVITY = 100
"""How many times the allowed difference an output must vary by across samples."""


@dataclass(frozen=True)
class OutputComparison:
    """The figures of one output of two models.

    Attributes:
        max_abs: largest absolute difference.
        mean_abs: mean absolute difference.
        scale: largest absolute value of the original's output.
        spread: largest range of one element across samples.
        rtol: relative tolerance that was applied.
        atol: absolute tolerance that was applied.
        required_rtol: the least rtol, with this atol, that would have passed.
        strict: whether the tolerance was written by the user.
        faulty: why the values cannot be compared at all, such as NaN; else empty.
    """

    max_abs: float
    mean_abs: float
    scale: float
    spread: float
    rtol: float
    atol: float
    required_rtol: float
    strict: bool
    faulty: str = ""

    def to_dict(self) -> dict[str, float]:
        """Plain data: the output's figures in the JSON report."""
        keys = ("max_abs", "mean_abs", "scale", "spread", "rtol", "atol", "required_rtol")
        return {key: getattr(self, key) for key in keys}

    @property
    def allowed(self) -> float:
        """The largest absolute difference that passes."""
        return self.atol + self.rtol * self.scale

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return not self.faulty and self.max_abs <= self.allowed

    @property
    def insensitive(self) -> bool:
        """Whether the output varies too little for the difference to have been seen."""
        return not self.faulty and (self.spread < SENSITIVITY * self.allowed or self.spread == 0)


@dataclass(frozen=True)
class Comparison:
    """Two models' outputs on the same samples.

    Attributes:
        passed: the outputs are the same, and the comparison could have failed.
        insensitive: an output varies too little across samples for a difference to show.
        within_rounding: beyond the default tolerance, but by rounding only, as float64 shows.
        samples: number of samples.
        outputs: the figures of each output, by name.
        error_vs_float64: RMS errors (original, reduced) against the original in float64, relative
            to its RMS, of the output in which they are furthest apart; None where no float64 run
            was needed, or it failed.
        first_departure: the name of the first layer whose output departs; None where all agree, or
            where it is unknown.
        reason: why it did not pass, a line for each reason; empty if it passed.
        departure: the first layer whose output departs, with its difference; or None.
        float64_device: the kind of device that the float64 run was on, ``cpu`` or ``gpu``; None
            where there was none.
        suggestion: the line of kito.yaml with which it would pass; None where no line is
            recommended.
        advice: what the suggestion does, or why there is none; may be empty.
    """

    passed: bool
    insensitive: bool
    within_rounding: bool
    samples: int
    outputs: dict[str, OutputComparison]
    error_vs_float64: tuple[float, float] | None
    first_departure: str | None
    reason: str
    departure: Departure | None = None
    float64_device: str | None = None
    suggestion: str | None = None
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the section ``equivalence`` of the JSON report."""
        error = self.error_vs_float64
        return {
            "passed": self.passed,
            "insensitive": self.insensitive,
            "within_rounding": self.within_rounding,
            "samples": self.samples,
            "error_vs_float64": None if error is None else list(error),
            "float64_device": self.float64_device,
            "first_departure": None if self.departure is None else asdict(self.departure),
            "suggestion": self.suggestion,
            "advice": self.advice,
            "outputs": {name: output.to_dict() for name, output in self.outputs.items()},
        }

    def rows(self) -> list[tuple[str, ...]]:
        """The rows of a table for people, headings first: the figures of each output."""
        rows: list[tuple[str, ...]] = [
            ("output", "largest difference", "allowed", "mean difference", "scale", "varies by")
        ]
        for name, x in self.outputs.items():
            figures = (x.max_abs, x.allowed, x.mean_abs, x.scale, x.spread)
            rows.append((name, *(f"{value:.3g}" for value in figures)))
        return rows

    def _repr_html_(self) -> str:
        """The figures of each output and the verdict, for a notebook."""
        caption = "Comparison: the outputs " + ("are the same" if self.passed else "differ")
        if self.insensitive and not self.passed:
            caption = "Comparison: not passed"
        return html_table(caption, self.rows(), self.message().splitlines())

    def message(self) -> str:
        """The result for people, a line for each fact."""
        if self.passed:
            how = "within rounding of float64" if self.within_rounding else "within tolerance"
            samples = counted(self.samples, "sample")
            same = counted(
                len(self.outputs),
                f"output of {samples} is the same, {how}",
                f"outputs of {samples} are the same, {how}",
            )
            if self.error_vs_float64 is None:
                return same
            own, other = self.error_vs_float64
            return (
                f"{same}\nRMS error against float64 on the {self.float64_device}: {other:.2g}, the "
                f"original's own {own:.2g}"
            )
        lines = [self.reason]
        if self.departure is not None:
            lines.append(self.departure.message())
        if self.advice:
            lines.append(self.advice + ("" if self.suggestion is None else ":"))
        if self.suggestion is not None:
            lines.append(f"    {self.suggestion}")
        return "\n".join(lines)
