"""The section ``metrics`` of a model: what its task is measured by, and what it must reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pytest_kito.config.problems import quoted
from pytest_kito.config.section import Section
from pytest_kito.config.values import ImportPath, NonNegative, npz_or_callable, wrong

_NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.]{0,49}$"
"""A name has no ``-``, which separates it from the format in the name of a check."""
_NAME_RULE = "letters, digits, '_' and '.', first no '.', at most 50 characters"


def _check_name(name: str) -> str:
    if re.fullmatch(_NAME_PATTERN, name) is None:
        raise wrong(f"{quoted(name)} is not a metric's name; allowed: {_NAME_RULE}")
    return name


class MetricSpec(Section):
    """A metric of the task; without bounds it is recorded only."""

    source: ImportPath
    """package.module:callable, called as metric(predict, data), or a class of keras.metrics."""
    kwargs: Mapping[str, Any] = Field(default_factory=dict)
    """Keyword arguments: of the callable, or to create the class with."""
    data: str | None = None
    """An .npz file relative to kito.yaml, or package.module:callable, whose result the metric
    gets."""
    minimum: float | None = Field(default=None, alias="min")
    """The least value that passes."""
    maximum: float | None = Field(default=None, alias="max")
    """The largest value that passes."""
    max_drop: NonNegative | None = None
    """By how much it may be worse than the original's value."""
    higher_is_better: bool = True
    """Whether a lower value is worse, as max_drop counts it."""

    @field_validator("data")
    @classmethod
    def _file_or_callable(cls, data: str | None, info: ValidationInfo) -> str | None:
        return None if data is None else npz_or_callable(data, info)

    @field_validator("maximum")
    @classmethod
    def _not_below_minimum(cls, maximum: float | None, info: ValidationInfo) -> float | None:
        minimum = info.data.get("minimum")
        if maximum is not None and minimum is not None and maximum < minimum:
            raise wrong(f"{maximum} is below 'min', which is {minimum}; allowed: min <= max")
        return maximum


Metrics = Annotated[
    Mapping[Annotated[str, AfterValidator(_check_name)], MetricSpec],
    Field(json_schema_extra={"propertyNames": {"pattern": _NAME_PATTERN}}),
]
