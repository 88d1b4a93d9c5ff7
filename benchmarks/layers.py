"""How fast stock layers are beside other stock layers that compute the same.

What the pass ``choose_kernels`` takes comes from this table. Each row is a small model and its
equal, both built by hand, so that replacements which the pass does not make are measured too. Their
outputs are compared first; then ``kito.timing.paired`` times both in pairs, in random order. A
figure is the median of the ratios, time of the first over time of its equal, with its interval
(95 %). The backend is that of ``KERAS_BACKEND``; the device is a GPU where that backend has one.

    python benchmarks/layers.py [PART OF A NAME ...] [--batch 8] [--budget 8] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers as L  # noqa: N812

import kito
from kito.runtime.backends.select import current
from kito.timing.paired import measure_pairs
from kito.timing.protocol import Calls, Question
from layer_cases import Case, cases


@dataclass(frozen=True)
class Row:
    """What was measured of one case; times of the original over times of its equal."""

    name: str
    backend: str
    device: str
    batch: int
    pairs: int
    original_ms: float
    ratio: float
    low: float
    high: float
    taken: str
    """For which targets ``choose_kernels`` takes it: "yes", "for cpu", "no"."""


def measure(one: Case, batch: int, budget: float) -> Row:
    rng = np.random.default_rng(0)
    for variable in one.original.weights:
        fan_in = max(math.prod(variable.shape[:-1]), 1)
        variable.assign(rng.normal(0, 1 / math.sqrt(fan_in), variable.shape))
    _neutral(one)
    one.equal.set_weights(one.convert(one.original.get_weights()))
    data = rng.normal(size=(batch, *one.original.input_shape[1:])).astype("float32")
    expected, actual = (np.asarray(x.predict_on_batch(data)) for x in (one.original, one.equal))
    assert np.abs(expected - actual).max() <= 1e-5 * np.abs(expected).max(), one.name
    backend = current()
    kind = "gpu" if backend.gpu_names() else "cpu"
    calls = Calls(
        original=backend.compiled_call(one.original, data, kind),
        reduced=backend.compiled_call(one.equal, data, kind),
        control=backend.compiled_call(one.original, data, kind),
    )
    pairs = measure_pairs(
        calls,
        Question(minimum=None, confidence=0.95, budget_s=4 * budget),
        rng=rng,
        clock=time.perf_counter,
    )
    return Row(
        name=one.name,
        backend=keras.config.backend(),
        device=kind,
        batch=batch,
        pairs=len(pairs.original),
        original_ms=1e3 * float(np.median(pairs.original)),
        ratio=pairs.ratio,
        low=pairs.low,
        high=pairs.high,
        taken=one.taken or _taken(one.original),
    )


def _neutral(one: Case) -> None:
    """Set gamma to 1 and beta to 0 where the original has them and its equal does not."""
    last = one.original.layers[-1]
    if isinstance(last, L.LayerNormalization):
        equal = one.equal.layers[-1]
        last.gamma.assign(last.gamma if equal.scale else np.ones(last.gamma.shape))
        last.beta.assign(last.beta if equal.center else np.zeros(last.beta.shape))


def _taken(model: keras.Model) -> str:
    for target, answer in (("any", "yes"), ("cpu", "for cpu"), ("gpu", "for gpu")):
        if kito.reduce(model, passes=("choose_kernels",), target=target).rewrites:
            return answer
    return "no"


def markdown(rows: list[Row]) -> str:
    lines = [
        "| layers -> equal, size | backend, device | batch | ms | faster by | taken |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.backend}, {row.device} | {row.batch} | {row.original_ms:.2f} "
            f"| {row.ratio:.2f}x [{row.low:.2f}, {row.high:.2f}] | {row.taken} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="only rows with one in their name")
    parser.add_argument("--batch", type=int, nargs="+", default=[8], help="default: 8")
    parser.add_argument("--budget", type=float, default=8, help="seconds of each (default: 8)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for group in cases():
        for one in group():
            if arguments.parts and not any(part in one.name for part in arguments.parts):
                continue
            for batch in arguments.batch:
                rows.append(measure(one, batch, arguments.budget))
                print(markdown(rows[-1:]).splitlines()[-1], file=sys.stderr)
    print(json.dumps([asdict(row) for row in rows], indent=2) if arguments.json else markdown(rows))


if __name__ == "__main__":
    main()
