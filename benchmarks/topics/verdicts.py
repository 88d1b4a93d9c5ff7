"""How often a verdict is wrong, and how often there is one: simulated machines with known noise.

The calls cost nothing: each call moves a simulated clock (``tests/simulated.py``) by its true time
and by noise of a known kind. For each kind of noise, true ratio and minimum, 1000 gate runs are
made with the protocol, the confidence and the budget that the gate has by default. A *wrong pass*
is a ``pass`` where the true ratio is below the minimum, a *wrong fail* a ``fail`` where it is not.
The hardest case is a minimum at the true ratio itself.

One to two minutes a cell, half an hour of one core in all: the only topic that takes so long. Its
figures depend on no machine.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.rounds import quick
from benchmarks.topic import Row, Rows, markdown, measured

TITLE = "Verdicts: how often they are wrong, simulated"
MACHINE = "simulated"
ELSEWHERE = "timing.md#how-often-is-a-verdict-wrong"
NOISES = ("independent", "autocorrelated", "bimodal", "drifting", "heavy-tailed", "two cores")
"""Those of ``tests/simulated.py``."""
CALLS_MS = (10, 100, 1000)
RUNS = 1000
MINIMUM = 1.1
CLEAR = (0.9, 1.0, 1.05, 1.15, 1.2, 1.5, 2.0)
"""True ratios that are judged against that minimum."""
EDGES = (1.0, 1.1, 2.0)
"""True ratios that are judged against themselves: here, or very close to it, a verdict errs."""
CASES = [(ratio, MINIMUM) for ratio in CLEAR] + [(ratio, ratio) for ratio in EDGES]
VERDICTS = ("pass", "fail", "inconclusive")


def cells() -> tuple[str, ...]:
    return tuple(f"{noise}/{call_ms}" for call_ms in CALLS_MS for noise in NOISES)


def measure(cell: str) -> dict[str, Any]:
    noise, call_ms = cell.split("/")
    runs = 20 if quick() else RUNS
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        cases = [
            _count(pool, runs, case, partial(_simulate, noise=noise, call_s=int(call_ms) / 1000))
            for case in CASES
        ]
    return {"runs": runs, "cases": cases}


def table(rows: Rows) -> str:
    good = measured(rows)
    texts = []
    for call_ms in CALLS_MS:
        group = {x: row for x, row in good.items() if x.endswith(f"/{call_ms}")}
        if not group:
            continue
        clear = "".join(f" | {ratio:g} against {MINIMUM}:" for ratio in CLEAR)
        header = f"noise | wrong pass, at most: | wrong fail, at most:{clear} | seconds:"
        lines = [_line(cell, row) for cell, row in group.items()]
        length = "one second" if call_ms == 1000 else f"{call_ms} ms"
        texts.append(f"Calls of {length}:\n\n{markdown(header, lines)}")
    return "\n\n".join(texts)


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


def _line(cell: str, row: Row) -> list[str]:
    """The seconds are those of 1.2 against 1.1."""
    shares = (*wrong_of(row), *right_of(row).values())
    case = row["cases"][CLEAR.index(1.2)]
    seconds = f"{case['median_s']:.0f}, at most {case['longest_s']:.0f}"
    return [cell.split("/")[0], *(f"{share:.1%}" for share in shares), seconds]


def _count(
    pool: ProcessPoolExecutor, runs: int, case: tuple[float, float], simulate: partial[Any]
) -> dict[str, Any]:
    """What the gate runs of one case ended with."""
    one = partial(simulate, case=case)
    verdicts, rounds, seconds = zip(*pool.map(one, range(runs), chunksize=20), strict=True)
    counts = Counter(verdicts)
    return {
        "ratio": case[0],
        "minimum": case[1],
        **{verdict: counts[verdict] for verdict in VERDICTS},
        "median_rounds": float(np.median(rounds)),
        "median_s": round(float(np.median(seconds)), 2),
        "longest_s": round(max(seconds), 2),
    }


def _simulate(
    seed: int, *, noise: str, case: tuple[float, float], call_s: float
) -> tuple[str, int, float]:
    """The verdict of one gate run, the rounds and the seconds that it took."""
    from simulated import simulated_check

    pairs = simulated_check(noise, case, call_s=call_s, budget_s="auto", seed=seed)
    return str(pairs.verdict), len(pairs.original), pairs.seconds
