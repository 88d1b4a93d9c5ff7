"""How fast inference is: the original, KITO's fold, ours, and without BatchNormalization.

KITO's fold is ``kito.reduce(model, passes=("fold_batchnorm",))``, ours ``kito.reduce(model)``. The
last is the same network with every BatchNormalization deleted. It computes something else, and
looks like the limit of folding.

For each network and batch size, one compiled call per form runs on a batch that is already on
the device. In every round all forms run once, in random order, and each ratio is taken within a
round. A figure is the median over the rounds; its interval (95 %) is that of
``kito.timing.statistics.median_interval``, a block bootstrap. The table shows the interval of the
last column, ``--json`` shows all of them. Each network has a process of its own.

    python benchmarks/speed.py [NETWORK ...] [--batch 8 1] [--rounds 60] [--budget 120] [--json]
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kito
from kito.graph.build import build_model
from kito.graph.read import read_graph
from kito.runtime.backends.select import current
from kito.runtime.batch import call_arguments
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights
from kito.timing.statistics import least_for, median_interval

APPLICATIONS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ResNet50",
    "ResNet50V2",
    "InceptionV3",
    "InceptionResNetV2",
    "DenseNet121",
    "Xception",
    "NASNetMobile",
    "ConvNeXtTiny",
)
WARM_UP = 3
RISK = 0.05
MINIMUM_ROUNDS = least_for(RISK)
"""Fewer give no interval that is as sure, so these are taken even where they exceed the budget."""


@dataclass(frozen=True)
class Ratio:
    """Median of a ratio over the rounds, and the interval of it."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """What was measured of one network; ratios are times of the original over times of the form."""

    network: str
    batch: int
    rounds: int
    original_ms: float
    fold: Ratio
    ours: Ratio
    bare: Ratio
    gain: Ratio
    """Times of KITO's fold over ours."""


def build(network: str) -> keras.Model:
    """The network of that name at its default input size, with weights that keep signals near 1."""
    if network == "ZF_UNET":
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        zf_unet = importlib.import_module("zoo.zf_unet")
        model = zf_unet.build(size=224)
    else:
        # The sizes of MobileNetV3 are open by default.
        fixed = {"input_shape": (224, 224, 3)} if network.startswith("MobileNetV3") else {}
        model = getattr(keras.applications, network)(weights=None, **fixed)
    randomize_weights(model, random_inputs(model, samples=4, seed=1, high=255.0), seed=2)
    return model


def without_normalizations(model: keras.Model) -> keras.Model:
    """The same network with every BatchNormalization deleted."""
    graph = read_graph(model)
    for inner in graph.graphs():
        for node in list(inner.nodes):
            if isinstance(node.op.layer, keras.layers.BatchNormalization):
                inner.bypass(node)
    return build_model(graph)[0]


def measure(network: str, batch: int, rounds: int, budget: float) -> Row:
    """All forms of one network, in rounds."""
    model = build(network)
    models = {
        "original": model,
        "fold": kito.reduce(model, passes=("fold_batchnorm",)).model,
        "ours": kito.reduce(model).model,
        "bare": without_normalizations(model),
    }
    inputs = random_inputs(model, samples=batch, seed=3, high=255.0)
    backend = current()
    calls = {
        name: backend.compiled_call(form, call_arguments(form, inputs), "cpu")
        for name, form in models.items()
    }
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    seconds = _rounds(calls, rounds, budget)
    original = seconds["original"]
    return Row(
        network=network,
        batch=batch,
        rounds=len(original),
        original_ms=1e3 * float(np.median(original)),
        fold=_ratio(original, seconds["fold"]),
        ours=_ratio(original, seconds["ours"]),
        bare=_ratio(original, seconds["bare"]),
        gain=_ratio(seconds["fold"], seconds["ours"]),
    )


def _ratio(slow: np.ndarray, fast: np.ndarray) -> Ratio:
    values = slow / fast
    return Ratio(float(np.median(values)), *median_interval(values, RISK, np.random.default_rng(0)))


def _rounds(
    calls: dict[str, Callable[[], None]], rounds: int, budget: float
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + budget
    gc.collect()
    gc.disable()
    for index in range(rounds):
        if index >= MINIMUM_ROUNDS and time.perf_counter() > end:
            break
        for name in rng.permutation(list(calls)):
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}


def read_row(text: str) -> Row:
    """The row that another process printed as JSON."""
    values: dict[str, Any] = json.loads(text)
    ratios = {name: Ratio(**values[name]) for name in ("fold", "ours", "bare", "gain")}
    return Row(**{**values, **ratios})


def markdown(rows: list[Row]) -> str:
    lines = [
        "| network | batch | original, ms | KITO's fold | ours | without BatchNormalization "
        "| ours / KITO's fold |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.network} | {row.batch} | {row.original_ms:.1f} "
            f"| {row.fold.median:.2f}x | {row.ours.median:.2f}x | {row.bare.median:.2f}x "
            f"| {row.gain.median:.3f} [{row.gain.low:.3f}, {row.gain.high:.3f}] |"
        )
    return "\n".join(lines)


def main() -> None:
    every = [*APPLICATIONS, "ZF_UNET"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(every))
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 1], help="default: 8 1")
    parser.add_argument("--rounds", type=int, default=60, help="at most (default: 60)")
    parser.add_argument("--budget", type=float, default=120, help="seconds of each (default: 120)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        (network,), (batch,) = arguments.networks, arguments.batch
        print(json.dumps(asdict(measure(network, batch, arguments.rounds, arguments.budget))))
        return
    rows: list[Row] = []
    limits = ["--rounds", str(arguments.rounds), "--budget", str(arguments.budget)]
    for network in arguments.networks or every:
        for batch in arguments.batch:
            command = [sys.executable, __file__, network, "--batch", str(batch), "--one", *limits]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(read_row(done.stdout.splitlines()[-1]))
            print(markdown(rows[-1:]).splitlines()[-1], file=sys.stderr)
    print(json.dumps([asdict(row) for row in rows], indent=2) if arguments.json else markdown(rows))


if __name__ == "__main__":
    main()
