"""Run a cell in a process of its own, so that no cell disturbs another one, or ends the run.

A cell that raises an error, crashes or takes too long is recorded with that error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from benchmarks import ROOT
from benchmarks.rounds import QUICK
from benchmarks.store import Record, environment, load_average, today

_LONGEST = 300
"""The most characters of an error that are kept."""


def run_cell(topic: str, cell: str, *, limit_s: float, quick: bool = False) -> Record:
    """The record of one cell, measured now; it holds ``result`` or ``error``.

    Args:
        topic: a module of :mod:`benchmarks.topics`.
        cell: one of its cells.
        limit_s: seconds after which the process is stopped, with all that it started.
        quick: see :func:`benchmarks.rounds.quick`.
    """
    command = [sys.executable, "-m", "benchmarks", "cell", topic, cell]
    load, start = load_average(), time.perf_counter()
    outcome = _run(command, limit_s, quick)
    return {
        "environment": environment(),
        "date": today(),
        "seconds": round(time.perf_counter() - start, 1),
        "load": load,
        **outcome,
    }


def _run(command: list[str], limit_s: float, quick: bool) -> dict[str, Any]:
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    variables |= {QUICK: "1"} if quick else {}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return {"error": f"stopped after {limit_s:.0f} s, the time limit of a cell"}
    finally:
        _stop(process)
    return _read(process.returncode, out, err)


def _stop(process: subprocess.Popen[str]) -> None:
    """End the process and what it started; also after Ctrl-C, which its session does not get."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate()


def _read(code: int, out: str, err: str) -> dict[str, Any]:
    if code < 0:
        return {"error": f"crashed with {signal.Signals(-code).name}"}
    if code:
        return {"error": _last_line(err)[:_LONGEST] or f"ended with exit code {code}"}
    try:
        result = json.loads(_last_line(out))
    except ValueError:
        return {"error": "printed no JSON on its last line"}
    return {"result": result}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
