"""The figures of a check as properties of its test case in JUnit XML: flat names, plain values.

``kito_ratio``, ``kito_low``, ``kito_verdict``, ...: the keys of the JSON report behind ``kito_``.
Pairs become two properties, lists of things are counted, and what is unknown is left out.
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
"""What the two numbers of a pair are."""
_LARGEST = ("max_abs", "required_rtol")
"""Figures of outputs of which the largest counts for all."""


def properties(finding: Finding) -> list[Property]:
    """The properties of a finding."""
    found: list[Property] = [("kito_model", finding.model), ("kito_outcome", finding.outcome)]
    data = dict(finding.data or {})
    outputs = data.pop("outputs", {})
    found += _flat("kito", data)
    for figure in _LARGEST:
        values = [x[figure] for x in outputs.values() if x[figure] is not None]
        found += _flat(f"kito_{figure}", max(values, default=None))
    for name, figures in outputs.items():
        found += [(f"{key}[{_printable(name)}]", value) for key, value in _flat("kito", figures)]
    return [*found, *_flat("kito_seconds", finding.seconds)]


def _flat(name: str, value: Any) -> Iterator[Property]:
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
    """A name that XML takes as it is."""
    return "".join(x if x.isprintable() else "?" for x in name)
