"""The criteria of a comparison, as the user declares them: tolerances and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Tolerance = tuple[float | None, float | None]
"""(rtol, atol) of one output; None is the default."""


@dataclass(frozen=True)
class Criteria:
    """The tolerances of a comparison and its reference.

    Attributes:
        rtol: relative to each output's largest absolute value; None is the default of the model's
            dtype. A value is strict: nothing beyond it passes.
        atol: absolute, in the outputs' units; None is 0. A value is strict.
        outputs: (rtol, atol) of single outputs, by name.
        reference: ``float64`` to compare both models with the original in float64 always; None to
            do so only where the default tolerance is exceeded.
    """

    rtol: float | None = None
    atol: float | None = None
    outputs: Mapping[str, Tolerance] = field(default_factory=dict)
    reference: str | None = None
