"""PyTorch modules: the original, torch.fx's own fusion and ours, eager and compiled.

A minute for an eager cell, and two to ten for a compiled one; an hour in all on two cores. It needs
PyTorch and timm, and no TensorFlow.
"""

from __future__ import annotations

import os
import warnings
from math import exp, log
from pathlib import Path
from typing import Any

from benchmarks.rounds import milliseconds, quick, ratio, take_rounds, times
from benchmarks.topic import Row, Rows, markdown, measured

TITLE = "PyTorch modules"
ABOUT = """\
Networks of timm with random weights and calibrated statistics, one call in float32 on a batch of 8
images, in `torch.inference_mode`; freed memory stays with the process
([why](timing.md#pytorch-on-a-cpu)). **fx** is `torch.fx.experimental.optimization.fuse`, which
folds a BatchNormalization into the convolution before it, but none of timm's own class
`BatchNormAct2d`, which most of these networks use; **kito** is `kito.reduce_torch_module`.
Eager, and compiled by `torch.compile`, each in rounds of its own. Ratios are times of the original
over times of the form: above 1 is faster. **over fx** is the time of fx' module over that of ours,
in the same rounds. **difference** is the largest one of the outputs, relative to the largest
value."""
NETWORKS = (
    "vgg11_bn",
    "resnet18",
    "resnet50",
    "seresnet50",
    "mobilenetv3_large_100",
    "efficientnet_b0",
    "regnety_002",
    "densenet121",
    "dpn68",
    "repvgg_a0",
    "mobileone_s0",
    "convnext_atto",
    "resnetv2_50",
    "inception_v3",
)
BATCH, ROUNDS, BUDGET_S = 8, 60, 25.0
LIMIT_S = 900.0


def cells() -> tuple[str, ...]:
    return (*(f"{x}/eager" for x in NETWORKS), *(f"{x}/compiled" for x in NETWORKS))


def measure(cell: str) -> dict[str, Any]:
    network, how = cell.split("/")
    os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
    import timm
    import torch
    from torch.fx.experimental.optimization import fuse

    import kito
    from kito.runtime.devices import compiled_call, detect
    from kito.runtime.torch_pair import named_arrays, wrap_module
    from kito.runtime.torch_source import apply_module_weights

    torch.manual_seed(0)
    module = timm.create_model(network, exportable=True).eval()
    size = 96 if quick() else module.default_cfg["input_size"][-1]
    arrays = named_arrays(module, torch.rand(BATCH, 3, size, size))
    apply_module_weights(module, "random", base=Path(), inputs=arrays, seed=0)
    reduction = kito.reduce_torch(module, tuple(map(torch.from_numpy, arrays.values())))
    forms = {"original": module, "ours": reduction.module}
    failed = {}
    try:
        forms["fx"] = fuse(module)
    except Exception as error:  # it traces the whole module, or nothing
        failed["fx"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    device = detect(framework="torch")
    models = {form: wrap_module(x, arrays, form) for form, x in forms.items()}
    jit = how == "compiled"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler
        calls = {form: compiled_call(x, arrays, device, jit) for form, x in models.items()}
    seconds = take_rounds(calls, rounds=ROUNDS, budget_s=BUDGET_S)
    differences = {
        form: kito.compare(module, forms[form], arrays).outputs["output"]
        for form in forms
        if form != "original"
    }
    return {
        "size": size,
        "rounds": len(seconds["original"]),
        "ms": {form: milliseconds(x) for form, x in seconds.items()},
        "norms": list(reduction.batchnorms),
        "failed": failed,
        "differences": {form: x.max_abs / x.scale for form, x in differences.items()},
        **{form: ratio(seconds["original"], seconds[form]) for form in forms if form != "original"},
        **({"gain": ratio(seconds["fx"], seconds["ours"])} if "fx" in forms else {}),
    }


def table(rows: Rows) -> str:
    good = measured(rows)
    if not good:
        return "Nothing is measured yet."
    parts = []
    for how in ("eager", "compiled"):
        found = {x: good[f"{x}/{how}"] for x in NETWORKS if f"{x}/{how}" in good}
        if not found:
            continue
        header = "network | ms: | fx: | kito: | kito over fx: | norms left: | difference:"
        lines = [_line(network, row) for network, row in found.items()]
        gains = {x: row["gain"]["median"] for x, row in found.items() if "gain" in row}
        best = max(gains, key=lambda x: gains[x])
        others = [value for network, value in gains.items() if network != best]
        ours = [row["ours"]["median"] for row in found.values()]
        lowest = min(found, key=lambda x: found[x]["ours"]["high"])
        without = f", {_mean(others):.2f}x without {best}" if others else ""
        parts.append(
            f"{how.capitalize()}:\n\n{markdown(header, lines)}\n\nGeometric means of kito: "
            f"{_mean(ours):.2f}x over the original; {_mean([*gains.values()]):.2f}x over fx, where "
            f"that works ({len(gains)} of {len(found)}){without}. "
            f"The lowest upper end of an interval of kito over the "
            f"original: {found[lowest]['ours']['high']:.2f} ({lowest})."
        )
    return "\n\n".join(parts)


def _line(network: str, row: Row) -> list[str]:
    return [
        network,
        f"{row['ms']['original']:.1f}",
        times(row["fx"]) if "fx" in row else "fails",
        times(row["ours"]),
        times(row["gain"]) if "gain" in row else "",
        f"{row['norms'][1]} of {row['norms'][0]}",
        f"{row['differences']['ours']:.1e}",
    ]


def _mean(values: list[float]) -> float:
    """The geometric mean."""
    return exp(sum(map(log, values)) / len(values)) if values else float("nan")
