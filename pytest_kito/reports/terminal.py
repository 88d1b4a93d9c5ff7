"""The table at the end of a session, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_kito.results import Finding, ModelResult, Results

_HEAD = ("model", "layers", "norms", "parameters", "difference", "speed-up", "result")
_NAME_WIDTH = 22


def lines(results: Results) -> Iterator[str]:
    """The machine, one row per model, and the artifacts that were made."""
    environment = results.environment
    if environment is not None:
        yield (
            f"{environment['device_name']} ({environment['device']}), Keras "
            f"{environment['keras']}, {environment['backend']} {environment['backend_version']}"
        )
    rows: list[tuple[str, ...]] = [_HEAD]
    for model in results.models:
        rows += _rows(model)
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    for row in rows:
        yield _line(row, widths)
    kept = sum(len((x.data or {}).get("kept", ())) for x in _of(results, "reduction"))
    if kept:
        yield f"{kept} normalizations stay where they are: `kito explain MODEL` says why"


def _of(results: Results, section: str) -> list[Finding]:
    return [finding for model in results.models for finding in model.of(section)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
    return "  ".join([*cells, row[-1]]).rstrip()


def _rows(model: ModelResult) -> list[tuple[str, ...]]:
    """The row of a model; further batch sizes get rows below it."""
    speedups = [_speedup(x) for x in model.of("speedup")] or [""]
    result = "passed" if model.passed else "failed" if model.failed else "skipped"
    if model.failed:
        result += f": {model.failed[0].check}"
        if len(model.failed) > 1:
            result += f" +{len(model.failed) - 1}"
    name = model.name
    if len(name) > _NAME_WIDTH:
        name = name[: _NAME_WIDTH - 1] + "…"
    first = (name, *_reduction(model), _difference(model), speedups[0], result)
    return [first, *(("", "", "", "", "", speedup, "") for speedup in speedups[1:])]


def _reduction(model: ModelResult) -> tuple[str, str, str]:
    data = _data(model, "reduction")
    if data is None:
        return "", "", ""
    layers, norms, parameters = data["layers"], data["batchnorms"], data["parameters"]
    left = norms[1] + data["precomputed"]  # a Rescaling in its place is no fold
    return (
        f"{layers[0]}→{layers[1]}",
        f"{norms[0]}→{left}",
        f"{_short(parameters[0])}→{_short(parameters[1])}",
    )


def _difference(model: ModelResult) -> str:
    """The largest difference of an output, relative to that output's scale."""
    data = _data(model, "equivalence")
    if data is None:
        return ""
    relative = [x["max_abs"] / x["scale"] for x in data["outputs"].values() if x["scale"]]
    return f"{max(relative):.1e}" if relative else ""


def _speedup(finding: Finding) -> str:
    if finding.data is None or finding.data["ratio"] is None:
        return "skipped" if finding.outcome == "skipped" else ""
    data = finding.data
    return f"{data['ratio']:.2f}x [{data['low']:.2f}, {data['high']:.2f}] @{data['batch_size']}"


def _data(model: ModelResult, section: str) -> dict[str, Any] | None:
    return next((x.data for x in model.of(section) if x.data is not None), None)


def _short(count: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.4g}{unit}"
    return str(count)
