"""The figures of a model in as few characters as a table has room for."""

from __future__ import annotations

from pytest_kito.reports.results import Finding, ModelResult


def reduction(model: ModelResult) -> tuple[str, str, str]:
    """Layers, normalizations and parameters, before and after."""
    data = model.data("reduction")
    if data is None:
        return "", "", ""
    layers, norms, parameters = data["layers"], data["batchnorms"], data["parameters"]
    left = norms[1] + data["precomputed"]  # a Rescaling in its place is no fold
    return (
        f"{layers[0]}→{layers[1]}",
        f"{norms[0]}→{left}",
        f"{_short(parameters[0])}→{_short(parameters[1])}",
    )


def difference(model: ModelResult) -> str:
    """The largest difference of an output, relative to that output's scale."""
    data = model.data("equivalence")
    if data is None:
        return ""
    outputs = data["outputs"].values()
    relative = [
        x["max_abs"] / x["scale"] for x in outputs if x["scale"] and x["max_abs"] is not None
    ]
    return f"{max(relative):.1e}" if relative else ""


def speedup(finding: Finding) -> str:
    """The speed-up with its interval and its batch size."""
    if finding.data is None or finding.data["ratio"] is None:
        return "skipped" if finding.outcome == "skipped" else ""
    data = finding.data
    return f"{data['ratio']:.2f}x [{data['low']:.2f}, {data['high']:.2f}] @{data['batch_size']}"


def result(model: ModelResult) -> str:
    """``passed``, ``skipped``, or what failed first."""
    if not model.failed:
        return "passed" if model.passed else "skipped"
    more = f" +{len(model.failed) - 1}" if len(model.failed) > 1 else ""
    return f"failed: {model.failed[0].check}{more}"


def _short(count: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.4g}{unit}"
    return str(count)
