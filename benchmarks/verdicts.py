"""How often a verdict is wrong, and how often there is one: simulated machines with known noise.

The calls cost nothing: each call moves a simulated clock (``tests/simulated.py``) by its true time
and by noise of a known kind. For each kind of noise, true ratio and minimum, ``--runs`` gate runs
are made with the protocol, the confidence and the budget that the gate has by default. A *wrong
pass* is a ``pass`` where the true ratio is below the minimum, a *wrong fail* a ``fail`` where it is
not. The hardest case is a minimum at the true ratio itself.

    python benchmarks/verdicts.py [--runs 1000] [--call-ms 100] [--real]

``--real`` measures on this machine instead: a model against its own copy, which must never pass a
minimum of 1.1, and against one of half its layers, which must always pass 1.3.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

from kito.timing.paired import measure_pairs
from kito.timing.protocol import Calls, Question
from simulated import NOISES, Machine

MINIMUM = 1.1
CLEAR = (0.9, 1.0, 1.05, 1.15, 1.2, 1.5, 2.0)
"""True ratios that are judged against that minimum."""
EDGES = (0.9, 1.0, 1.1, 1.5, 2.0)
"""True ratios that are judged against themselves: here, or very close to it, a verdict errs."""


def simulate(seed: int, noise: str, ratio: float, minimum: float, seconds: float) -> str:
    """The verdict of one gate run."""
    machine = Machine(seed=seed, **NOISES[noise])
    original, reduced = machine.call(seconds * ratio), machine.call(seconds)
    pairs = measure_pairs(
        Calls(original, reduced, control=original),
        Question(minimum, confidence=0.95, budget_s=60.0),
        rng=np.random.default_rng(seed + 10**6),
        clock=machine.clock,
    )
    return str(pairs.verdict)


def rates(runs: int, seconds: float) -> None:
    print(f"{runs} gate runs each, calls of {seconds * 1000:g} ms, 60 s, confidence 0.95\n")
    decided = " | ".join(f"{ratio:g} against {MINIMUM}" for ratio in CLEAR)
    print(f"| noise | wrong pass, at most | wrong fail, at most | {decided} |")
    print("| --- |" + " ---: |" * (2 + len(CLEAR)))
    cases = [(ratio, MINIMUM) for ratio in CLEAR] + [(ratio, ratio) for ratio in EDGES]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for noise in NOISES:
            counts = []
            for ratio, minimum in cases:
                one = partial(simulate, noise=noise, ratio=ratio, minimum=minimum, seconds=seconds)
                counts.append(Counter(pool.map(one, range(runs), chunksize=20)))
            wrong = {
                verdict: max(
                    count[verdict] / runs
                    for (ratio, minimum), count in zip(cases, counts, strict=True)
                    if ratio == minimum or (ratio < minimum) == (verdict == "pass")
                )
                for verdict in ("pass", "fail")
            }
            right = [
                count["pass" if ratio > MINIMUM else "fail"] / runs
                for ratio, count in zip(CLEAR, counts, strict=False)
            ]
            cells = " | ".join(f"{share:.1%}" for share in (*wrong.values(), *right))
            print(f"| {noise} | {cells} |", flush=True)


def real(runs: int) -> None:
    import keras

    from kito.equivalence.float64 import copy_model
    from kito.timing.speedup import measure_speedup

    def network(blocks: int) -> keras.Model:
        x = image = keras.Input((64, 64, 16))
        for _ in range(blocks):
            x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
        return keras.Model(image, x)

    whole, half = network(8), network(4)
    print("| against | minimum | pass | fail | inconclusive | ratios |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, other, minimum in (
        ("its own copy", copy_model(whole), 1.1),
        ("half the layers", half, 1.3),
    ):
        verdicts, ratios = Counter[str](), []
        for seed in range(runs):
            estimate = measure_speedup(
                whole, other, batch_size=8, minimum=minimum, budget_s=20, seed=seed
            )
            verdicts[str(estimate.verdict)] += 1
            ratios.append(estimate.ratio)
        counts = " | ".join(str(verdicts[x]) for x in ("pass", "fail", "inconclusive"))
        print(f"| {name} | {minimum} | {counts} | {min(ratios):.3f} to {max(ratios):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int)
    parser.add_argument("--call-ms", type=float, default=100.0)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if options.real:
        real(options.runs or 20)
    else:
        rates(options.runs or 1000, options.call_ms / 1000)


if __name__ == "__main__":
    main()
