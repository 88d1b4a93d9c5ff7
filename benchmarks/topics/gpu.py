"""Speed on a GPU, on the backends of Keras that run there without TensorFlow.

About 20 s to 60 s a cell. Machines are named by hand here: ``--machine nvidia-h100``.
"""

from __future__ import annotations

import os
from math import exp, log
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.rounds import milliseconds, quick, ratio, take_rounds
from benchmarks.topic import Rows, markdown, measured

TITLE = "Speed on a GPU"
ABOUT = """\
One inference call in float32 of the original, of KITO's fold (`passes=("fold_batchnorm",)`) and of
what `kito.reduce` makes: compiled by XLA (`jax.jit`), as PyTorch runs it (`torch.inference_mode`,
where a small network waits for Python, layer by layer), and exported and compiled by
`torch.compile`. The batch is on the GPU, and each call waits for the result. Both backends multiply
in TF32 in convolutions by default, so outputs of the original and ours differ by up to 1e-3 of the
scale; the same two models differ by far less in float32 on a CPU. Ratios are times of the original
over times of the form, within rounds: above 1 is faster."""
NETWORKS = (
    "MobileNetV2",
    "EfficientNetB0",
    "ResNet50",
    "DenseNet121",
    "NASNetMobile",
    "RepVGG",
    "ConvNeXtTiny",
)
HOW = {"jax": "JAX", "torch": "PyTorch", "torch-compile": "PyTorch, compiled"}
BATCHES = (1, 32)
ROUNDS, BUDGET_S = 200, 6.0
LIMIT_S = 300.0


def cells() -> tuple[str, ...]:
    return tuple(f"{network}/{how}" for how in HOW for network in NETWORKS)


def measure(cell: str) -> dict[str, Any]:
    network, how = cell.split("/")
    os.environ["KERAS_BACKEND"] = how.split("-")[0]  # before Keras is imported

    import kito
    from kito.runtime import devices
    from kito.runtime.nvml import GpuWatch

    devices.prepare("auto")
    device = devices.detect("auto" if quick() else "gpu")
    model = networks.build_random(network, 96 if quick() else None)
    forms = {
        "original": model,
        "fold": kito.reduce(model, passes=("fold_batchnorm",)).model,
        "ours": kito.reduce(model).model,
    }
    comparison = kito.compare(model, forms["ours"])
    [output] = comparison.outputs.values()
    inputs = networks.images(model, max(BATCHES))
    jit = devices.uses_jit(model, "on" if how.endswith("compile") else "auto", device)
    watch, batches = GpuWatch(), {}
    for batch in BATCHES:
        few = {name: np.ascontiguousarray(values[:batch]) for name, values in inputs.items()}
        calls = {
            form: devices.compiled_call(model, few, device, jit) for form, model in forms.items()
        }
        seconds = take_rounds(calls, rounds=ROUNDS, budget_s=BUDGET_S)
        watch.look()
        batches[str(batch)] = {
            "rounds": len(seconds["original"]),
            "ms": {form: milliseconds(x) for form, x in seconds.items()},
            **{form: ratio(seconds["original"], seconds[form]) for form in ("fold", "ours")},
        }
    return {
        "device": device.name,
        "driver": device.driver,
        "jit": jit,
        "batches": batches,
        "difference": output.max_abs / output.scale,
        "passed": comparison.passed,
        "within_rounding": comparison.within_rounding,
        "error_vs_float64": comparison.error_vs_float64,
        "gpu": watch.figures(),
    }


def table(rows: Rows) -> str:
    good = measured(rows)
    if not good:
        return "Nothing is measured yet."
    header = ["network"]
    for title in HOW.values():
        header += [f"{title}, ms:", f"{title}, KITO's passes:", f"{title}, kito:"]
    lines = []
    for network in NETWORKS:
        line = [network]
        for how in HOW:
            row = good.get(f"{network}/{how}")
            line += _cells(row["batches"]) if row else ["", "", ""]
        lines.append(line)
    [device, *_] = {row["device"] for row in good.values()}
    means = "; ".join(
        f"{title} {_mean(good, how, '1'):.2f}x / {_mean(good, how, '32'):.2f}x"
        for how, title in HOW.items()
        if any(cell.endswith(f"/{how}") for cell in good)
    )
    return (
        f"On one {device}, batch 1 / 32:\n\n{markdown(' | '.join(header), lines)}\n\n"
        f"Geometric means of kito: {means}."
    )


def _cells(batches: Any) -> list[str]:
    both = [batches[str(batch)] for batch in BATCHES]
    return [
        " / ".join(f"{x['ms']['original']:.2f}" for x in both),
        " / ".join(f"{x['fold']['median']:.2f}x" for x in both),
        " / ".join(f"{x['ours']['median']:.2f}x" for x in both),
    ]


def _mean(rows: Rows, how: str, batch: str) -> float:
    """The geometric mean of the ratio of ours over the networks."""
    logs = [
        log(row["batches"][batch]["ours"]["median"])
        for cell, row in rows.items()
        if cell.endswith(f"/{how}")
    ]
    return exp(sum(logs) / len(logs))
