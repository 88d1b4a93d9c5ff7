"""The figures of a model as short texts for the cells of a table."""

from __future__ import annotations

from pytest_kito.reports.results import Finding, ModelResult

COLUMNS: tuple[str, ...] = (
    "model",
    "layers",
    "norms",
    "parameters",
    "difference",
    "speed-up",
    "result",
)


def rows(model: ModelResult) -> list[tuple[str, ...]]:
    """The row of a model, as :data:`COLUMNS` name it, and one more for each further speed-up."""
    speedups = [speedup(x) for x in model.of("speedup")] or [""]
    first = (model.name, *reduction(model), difference(model), speedups[0], result(model))
    return [first, *(("", "", "", "", "", other, "") for other in speedups[1:])]


def reduction(model: ModelResult) -> tuple[str, str, str]:
    """The numbers of layers, normalizations and parameters, each before and after."""
    data = model.data("reduction")
    if data is None:
        return "", "", ""
    layers, norms, parameters = data["layers"], data["batchnorms"], data["parameters"]
    remaining = norms[1] + data["precomputed"]  # one that became a Rescaling is not folded
    return (
        f"{layers[0]}→{layers[1]}",
        f"{norms[0]}→{remaining}",
        f"{_short(parameters[0])}→{_short(parameters[1])}",
    )


def difference(model: ModelResult) -> str:
    """The largest difference of all outputs, each relative to the output's own scale."""
    data = model.data("equivalence")
    if data is None:
        return ""
    outputs = data["outputs"].values()
    relative = [
        output["max_abs"] / output["scale"]
        for output in outputs
        if output["scale"] and output["max_abs"] is not None
    ]
    return f"{max(relative):.1e}" if relative else ""


def speedup(finding: Finding) -> str:
    """The speed-up with its interval, its batch size, and its engine unless that is Keras."""
    if finding.data is None or finding.data["ratio"] is None:
        return "skipped" if finding.outcome == "skipped" else ""
    data = finding.data
    engine = "" if data.get("engine", "keras") == "keras" else f" {data['engine']}"
    size = f"@{data['batch_size']}{engine}"
    return f"{data['ratio']:.2f}x [{data['low']:.2f}, {data['high']:.2f}] {size}"


def result(model: ModelResult) -> str:
    """``passed``, ``skipped``, ``not run``, or the first failed check and how many more failed."""
    if not model.findings:
        return "not run"
    if not model.failed:
        return "passed" if model.passed else "skipped"
    more = f" +{len(model.failed) - 1}" if len(model.failed) > 1 else ""
    return f"failed: {model.failed[0].check}{more}"


def _short(count: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.4g}{unit}"
    return str(count)
