"""The values of the metrics of a model as short lines, for every report that people read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def metric_lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line per metric: ``accuracy: original 0.98; reduced, keras 0.98; onnx 0.975 (failed)``.

    Args:
        entries: the section ``metrics`` of a model in the JSON report.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_name.setdefault(entry["name"], []).append(entry)
    for name, own in by_name.items():
        original = next((x["original"] for x in own if x["original"] is not None), None)
        groups: dict[str, list[str]] = {}
        for entry in own:
            if entry["skipped"] is None:
                groups.setdefault(_value(entry), []).append(entry["format"] or "reduced")
        parts = [f"{', '.join(where)} {value}" for value, where in groups.items()]
        if original is not None:
            parts.insert(0, f"original {original:.6g}")
        if parts:
            yield f"{name}: {'; '.join(parts)}"


def _value(entry: Mapping[str, Any]) -> str:
    """The value with its verdict; equal ones are shown once."""
    if entry["value"] is None:
        return "unknown (failed)"
    return f"{entry['value']:.6g}{' (failed)' if entry['passed'] is False else ''}"
