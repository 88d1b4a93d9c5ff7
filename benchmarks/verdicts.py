"""How often a verdict is wrong, and how often there is one: simulated machines with known noise.

The calls cost nothing: each call moves a simulated clock (``tests/simulated.py``) by its true time
and by noise of a known kind. For each kind of noise, true ratio and minimum, ``--runs`` gate runs
are made with the protocol, the confidence and the budget that the gate has by default. A *wrong
pass* is a ``pass`` where the true ratio is below the minimum, a *wrong fail* a ``fail`` where it is
not. The hardest case is a minimum at the true ratio itself.

    python benchmarks/verdicts.py [--runs 1000] [--call-ms 10 100 1000] [--budget auto] [--real]
    python benchmarks/verdicts.py --tables

Each kind of noise is saved to ``benchmarks/results/verdicts.json`` when it is done; a run that was
interrupted goes on from there. ``--tables`` prints the tables of that file, and simulates nothing.

``--real`` measures on this machine instead: a model against its own copy, which must never pass a
minimum of 1.1, and against one of half its layers, which must always pass 1.3.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

from kito.timing.budget import Budget
from simulated import NOISES, simulated_check

RESULTS = Path(__file__).parent / "results" / "verdicts.json"
MINIMUM = 1.1
CLEAR = (0.9, 1.0, 1.05, 1.15, 1.2, 1.5, 2.0)
"""True ratios that are judged against that minimum."""
EDGES = (1.0, 1.1, 2.0)
"""True ratios that are judged against themselves: here, or very close to it, a verdict errs."""
CASES = [(ratio, MINIMUM) for ratio in CLEAR] + [(ratio, ratio) for ratio in EDGES]
VERDICTS = ("pass", "fail", "inconclusive")

Row = dict[str, Any]
"""One kind of noise with calls of one length: what all of its gate runs ended with."""


def simulate(
    seed: int, noise: str, case: tuple[float, float], call_s: float, budget_s: Budget
) -> tuple[str, int, float]:
    """The verdict of one gate run, the rounds and the seconds that it took."""
    pairs = simulated_check(noise, case, call_s=call_s, budget_s=budget_s, seed=seed)
    return str(pairs.verdict), len(pairs.original), pairs.seconds


def count(pool: ProcessPoolExecutor, runs: int, key: Row) -> Row:
    """Make the gate runs of one row; ``key`` holds its noise, length of a call and budget."""
    cases = []
    for case in CASES:
        one = partial(
            simulate,
            noise=key["noise"],
            case=case,
            call_s=key["call_ms"] / 1000,
            budget_s=key["budget_s"],
        )
        verdicts, rounds, seconds = zip(*pool.map(one, range(runs), chunksize=20), strict=True)
        counts = Counter(verdicts)
        cases.append(
            {
                "ratio": case[0],
                "minimum": case[1],
                **{verdict: counts[verdict] for verdict in VERDICTS},
                "median_rounds": float(np.median(rounds)),
                "median_s": round(float(np.median(seconds)), 2),
                "longest_s": round(max(seconds), 2),
            }
        )
    return {**key, "runs": runs, "cases": cases}


def rates(runs: int, calls_ms: Iterable[float], budget_s: Budget, jobs: int) -> None:
    """Count the verdicts of each row that the results do not have yet, and print the tables."""
    rows: list[Row] = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    keys = [
        {"noise": noise, "call_ms": call_ms, "budget_s": budget_s}
        for call_ms in calls_ms
        for noise in NOISES
    ]
    with ProcessPoolExecutor(jobs) as pool:
        for number, key in enumerate(keys, start=1):
            if any({**row, **key, "runs": runs} == row for row in rows):
                continue
            print(f"{number}/{len(keys)}: {key}", file=sys.stderr, flush=True)
            rows = [row for row in rows if {**row, **key} != row] + [count(pool, runs, key)]
            save(rows)
    tables(rows)


def save(rows: list[Row]) -> None:
    """Write the results, with the versions that made them."""
    environment = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pytest-kito": version("pytest-kito"),
        "machine": "simulated: the figures depend on no hardware",
    }
    data = {"environment": environment, "confidence": 0.95, "rows": rows}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(data, indent=1) + "\n")


def tables(rows: list[Row]) -> None:
    """Print one table for each budget and length of a call."""
    groups = dict.fromkeys((row["budget_s"], row["call_ms"]) for row in rows)
    for budget_s, call_ms in groups:
        group = [row for row in rows if (row["budget_s"], row["call_ms"]) == (budget_s, call_ms)]
        print(f"\ncalls of {call_ms:g} ms, budget_s: {budget_s}, {group[0]['runs']} runs\n")
        clear = " | ".join(f"{ratio:g} against {MINIMUM}" for ratio in CLEAR)
        print(f"| noise | wrong pass, at most | wrong fail, at most | {clear} | seconds |")
        print("| --- |" + " ---: |" * (3 + len(CLEAR)))
        print("\n".join(map(table_row, group)))
        longest = max(case["longest_s"] for row in group for case in row["cases"])
        print(f"\nThe longest run took {longest:.0f} s.")


def table_row(row: Row) -> str:
    """The row in Markdown, as in docs/timing.md; the seconds are those of 1.2 against 1.1."""
    shares = (*wrong_of(row), *right_of(row).values())
    case = row["cases"][CLEAR.index(1.2)]
    seconds = f"{case['median_s']:.0f}, at most {case['longest_s']:.0f}"
    return " | ".join([f"| {row['noise']}", *(f"{share:.1%}" for share in shares), f"{seconds} |"])


def wrong_of(row: Row) -> tuple[float, float]:
    """The shares of wrong passes and of wrong fails, each in the case with the most of them."""
    wrong_pass = [case["pass"] for case in row["cases"] if case["ratio"] <= case["minimum"]]
    wrong_fail = [case["fail"] for case in row["cases"] if case["ratio"] >= case["minimum"]]
    return max(wrong_pass) / row["runs"], max(wrong_fail) / row["runs"]


def right_of(row: Row) -> dict[float, float]:
    """The share of right verdicts for each of :data:`CLEAR`."""
    return {
        case["ratio"]: case["pass" if case["ratio"] > MINIMUM else "fail"] / row["runs"]
        for case in row["cases"][: len(CLEAR)]
    }


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


def _budget(text: str) -> Budget:
    return "auto" if text == "auto" else float(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int)
    parser.add_argument("--call-ms", type=float, nargs="+", default=[10.0, 100.0, 1000.0])
    parser.add_argument("--budget", type=_budget, default="auto", help="seconds, or auto")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if options.real:
        real(options.runs or 20)
    elif options.tables:
        tables(json.loads(RESULTS.read_text())["rows"])
    else:
        rates(options.runs or 1000, options.call_ms, options.budget, options.jobs)


if __name__ == "__main__":
    main()
