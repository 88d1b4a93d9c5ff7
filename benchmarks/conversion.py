"""How long ``kito.reduce`` takes and how much memory, beside copying the same model.

For each network, ``kito.reduce(model)`` and ``keras.models.clone_model`` + ``set_weights`` run in
alternating order in one process; the ratio is the median over the rounds. The peak of memory is
measured in a fresh process per network, as growth of the resident set during ``reduce`` relative to
the size of the model's weights; 1 is what the reduced model itself takes. Linux only.

    python benchmarks/conversion.py [NETWORK ...] [--rounds 5] [--no-memory] [--json]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import kito

APPLICATIONS = (
    "MobileNet",
    "MobileNetV2",
    "ResNet50",
    "InceptionV3",
    "DenseNet201",
    "NASNetMobile",
    "NASNetLarge",
)
CHAIN_BLOCKS = (30, 60, 120, 240)


@dataclass(frozen=True)
class Row:
    """What was measured of one network; ``growth`` is in units of the weights' size."""

    network: str
    layers: int
    weights_mb: float
    reduce_s: float
    clone_s: float
    ratio: float
    growth: float | None


def chain(blocks: int) -> keras.Model:
    """``blocks`` times convolution, normalization and ReLU, one after the other."""
    image = keras.Input((32, 32, 16))
    x = image
    for _ in range(blocks):
        x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(image, x)


def build(network: str) -> keras.Model:
    """The network of that name, with fresh weights."""
    if network.startswith("chain"):
        return chain(int(network.removeprefix("chain")))
    return getattr(keras.applications, network)(weights=None)


def clone(model: keras.Model) -> keras.Model:
    """The copy that Keras itself makes."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def seconds(function: Callable[[keras.Model], Any], model: keras.Model) -> float:
    """The time of one call; what it returns is freed afterwards, outside the measurement."""
    gc.collect()
    start = time.perf_counter()
    result = function(model)
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def weights_bytes(model: keras.Model) -> int:
    return sum(weight.numpy().nbytes for weight in model.weights)


def measure(network: str, rounds: int, memory: bool) -> Row:
    keras.backend.clear_session()
    model = build(network)
    reduce_s: list[float] = []
    clone_s: list[float] = []
    for index in range(rounds):
        runs = [(reduce_s, kito.reduce), (clone_s, clone)]
        for times, function in runs if index % 2 == 0 else reversed(runs):
            times.append(seconds(function, model))
    return Row(
        network=network,
        layers=len(model.layers),
        weights_mb=weights_bytes(model) / 1e6,
        reduce_s=statistics.median(reduce_s),
        clone_s=statistics.median(clone_s),
        ratio=statistics.median(a / b for a, b in zip(reduce_s, clone_s, strict=True)),
        growth=growth_in_fresh_process(network) if memory else None,
    )


def growth_in_fresh_process(network: str) -> float:
    command = [sys.executable, __file__, "--growth-of", network]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def growth(network: str) -> float:
    """The peak of resident memory during ``reduce``, less that before, over the weights' size."""
    kito.reduce(chain(1))  # imports and one-time setup are not the reduction's memory
    model = build(network)
    size = weights_bytes(model)
    gc.collect()
    # Without this, the peak could hide in memory that building the model left free in the heap.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
    before = resident_bytes("VmRSS")
    reduction = kito.reduce(model)
    peak = resident_bytes("VmHWM")
    del reduction
    return (peak - before) / size


def resident_bytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None, f"/proc/self/status has no {field}"
    return int(match[1]) * 1024


def markdown(rows: list[Row]) -> str:
    lines = [
        "| network | layers | weights, MB | reduce, s | clone + set_weights, s | ratio "
        "| peak memory / weights |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        grown = "" if row.growth is None else f"{row.growth:.2f}"
        lines.append(
            f"| {row.network} | {row.layers} | {row.weights_mb:.1f} | {row.reduce_s:.3f} "
            f"| {row.clone_s:.3f} | {row.ratio:.2f} | {grown} |"
        )
    by_name = {row.network: row for row in rows}
    first, last = (by_name.get(f"chain{blocks}") for blocks in (CHAIN_BLOCKS[0], CHAIN_BLOCKS[-1]))
    if first and last:
        times = last.reduce_s / first.reduce_s
        lines += ["", f"{CHAIN_BLOCKS[-1] // CHAIN_BLOCKS[0]}x the blocks: {times:.1f}x the time."]
    return "\n".join(lines)


def main() -> None:
    every = [*APPLICATIONS, *(f"chain{blocks}" for blocks in CHAIN_BLOCKS)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(every))
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: 5)")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--growth-of", metavar="NETWORK", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.growth_of:
        print(growth(arguments.growth_of))
        return
    seconds(kito.reduce, chain(1))  # the first call of each pays for imports
    seconds(clone, chain(1))
    rows = []
    for network in arguments.networks or every:
        print(network, file=sys.stderr)
        rows.append(measure(network, arguments.rounds, not arguments.no_memory))
    print(json.dumps([asdict(row) for row in rows], indent=2) if arguments.json else markdown(rows))


if __name__ == "__main__":
    main()
