"""Where the time of a check goes, by phase, for the models of this repository's own kito.yaml.

One to three minutes a cell, 8 minutes in all on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks import ROOT
from benchmarks.topic import Rows, markdown, measured

TITLE = "A check of the gate, by phase"
ABOUT = """\
`pytest --kito-check kito.yaml -k MODEL` on the models of this repository's kito.yaml; seconds of
the report's phases. `import` is Keras and its backend, once for all models of a session; `time`
takes what its budget and the machine's noise ask for; `own` is the gate itself."""
PHASES = ("import", "build", "reduce", "compare", "time", "write", "metric", "own", "total")


def cells() -> tuple[str, ...]:
    text = (ROOT / "kito.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["models"])


def measure(cell: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["--kito-check", "kito.yaml", "-k", cell, "--kito-report", str(report)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if not report.exists():
            raise RuntimeError(f"pytest wrote no report: {done.stdout.strip()[-200:]}")
        results = json.loads(report.read_text(encoding="utf-8"))
    return {"passed": results["passed"], "seconds": results["seconds"]}


def table(rows: Rows) -> str:
    lines = [
        [model, *(f"{row['seconds'][phase]:.1f}" for phase in PHASES)]
        for model, row in measured(rows).items()
    ]
    return markdown("model | " + " | ".join(f"{phase}, s:" for phase in PHASES), lines)
