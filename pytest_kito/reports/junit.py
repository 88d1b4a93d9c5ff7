"""The figures of a check as properties of its test case in JUnit XML: flat names, plain values.

The names are the keys of the JSON report after ``kito_``: ``kito_ratio``, ``kito_low``, ... Pairs
become two properties. Of lists of objects only the length is given. Unknown values are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_kito.reports.results import Finding

Property = tuple[str, str | int | float | bool]

_BEFORE_AFTER = ("original", "reduced")
_PAIRS = {
    "layers": _BEFORE_AFTER,
    "parameters": _BEFORE_AFTER,
    "batchnorms": _BEFORE_AFTER,
    "error_vs_float64": _BEFORE_AFTER,
    "original_ms": ("p50", "p90"),
    "reduced_ms": ("p50", "p90"),
}
"""The figures that are pairs, and the suffixes of their two numbers."""
_LARGEST = ("max_abs", "required_rtol")
"""The figures of outputs whose maximum over all outputs is a property too."""

_LONG = ("original_quantiles_ms", "reduced_quantiles_ms")
"""Distributions, which are no figures: they are in the JSON report."""


def properties(finding: Finding) -> list[Property]:
    """The properties of the test case that made a finding."""
    listed: list[Property] = [("kito_model", finding.model), ("kito_outcome", finding.outcome)]
    data = dict(finding.data or {})
    outputs = data.pop("outputs", {})
    for name in _LONG:
        data.pop(name, None)
    listed += _flat("kito", data)
    for figure in _LARGEST:
        values = [x[figure] for x in outputs.values() if x[figure] is not None]
        listed += _flat(f"kito_{figure}", max(values, default=None))
    for name, figures in outputs.items():
        listed += [(f"{key}[{_printable(name)}]", value) for key, value in _flat("kito", figures)]
    return [*listed, *_flat("kito_seconds", finding.seconds)]


def _flat(name: str, value: Any) -> Iterator[Property]:
    """The properties of a value, nested ones with longer names; none for None, inf and nan."""
    match value:
        case bool() | int() | str():
            yield name, value
        case float() if math.isfinite(value):
            yield name, value
        case Mapping():
            for key, inner in value.items():
                yield from _flat(f"{name}_{_printable(str(key))}", inner)
        case [first, second] if name.removeprefix("kito_") in _PAIRS:
            for part, inner in zip(
                _PAIRS[name.removeprefix("kito_")], (first, second), strict=True
            ):
                yield from _flat(f"{name}_{part}", inner)
        case [*items] if items and all(isinstance(x, str) for x in items):
            yield name, "; ".join(items)
        case [*items] if items and all(isinstance(x, int | float) for x in items):
            for index, inner in enumerate(items):
                yield from _flat(f"{name}_{index}", inner)
        case [*items]:
            yield name, len(items)


def _printable(name: str) -> str:
    """The name without characters that XML forbids."""
    return "".join(x if x.isprintable() else "?" for x in name)
