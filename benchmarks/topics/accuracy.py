"""How far float32 outputs are from the original in float64: original, KITO's fold, ours.

10 s to 60 s a cell, 6 minutes in all on two cores.
"""

from __future__ import annotations

from typing import Any

from benchmarks import networks
from benchmarks.topic import Rows, markdown, measured

TITLE = "Accuracy against float64"
ABOUT = """\
The RMS error of the outputs on 8 images, relative to the RMS of the outputs, against the original
run in float64. Random weights with calibrated statistics. Below 1, the last column says that the
reduced model is closer to the truth than the original."""
NETWORKS = (
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "NASNetMobile",
    "ConvNeXtTiny",
    "RepVGG",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "InceptionV3",
    "Xception",
)
SAMPLES = 8


def cells() -> tuple[str, ...]:
    return NETWORKS


def measure(cell: str) -> dict[str, Any]:
    import kito
    from kito.equivalence.float64 import errors_vs_float64

    model = networks.build_random(cell)
    images = networks.images(model, SAMPLES)
    forms = {
        "fold": kito.reduce(model, passes=("fold_batchnorm",)).model,
        "ours": kito.reduce(model).model,
    }
    result: dict[str, Any] = {}
    for name, form in forms.items():
        (errors,) = errors_vs_float64(model, form, images, SAMPLES, mixed=False)
        result["original"], result[name] = errors.rms
    return result


def table(rows: Rows) -> str:
    lines = [
        [
            network,
            *(f"{row[form]:.1e}" for form in ("original", "fold", "ours")),
            f"{row['ours'] / row['original']:.2f}",
        ]
        for network, row in measured(rows).items()
    ]
    return markdown("network | original: | KITO's fold: | kito: | kito / original:", lines)
