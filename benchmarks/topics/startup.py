"""What it costs every run of pytest that the plugin is installed and not used.

One minute on two cores. It needs the plugin installed (``pip install .``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from benchmarks.rounds import milliseconds, ratio, take_rounds
from benchmarks.topic import Rows, markdown, measured

TITLE = "Start-up of pytest with the plugin installed and unused"
ABOUT = """\
Whole processes, `pytest` on one empty test, with the plugin and with `-p no:kito`, in random order
within each of 30 rounds."""
OPTIONS: dict[str, tuple[str, ...]] = {"with": (), "without": ("-p", "no:kito")}


def cells() -> tuple[str, ...]:
    return ("pytest",)


def measure(cell: str) -> dict[str, Any]:
    if not any(x.name == "kito" for x in entry_points(group="pytest11")):
        raise RuntimeError("the plugin is not installed in this environment: pip install .")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_nothing.py").write_text("def test_nothing() -> None: ...\n")
        calls: dict[str, Callable[[], None]] = {
            which: partial(_run_pytest, folder, options) for which, options in OPTIONS.items()
        }
        seconds = take_rounds(calls, rounds=30)
    return {
        "rounds": len(seconds["with"]),
        "with_ms": milliseconds(seconds["with"]),
        "without_ms": milliseconds(seconds["without"]),
        "ratio": ratio(seconds["with"], seconds["without"]),
    }


def table(rows: Rows) -> str:
    lines = [
        [
            f"{row['with_ms']:.0f}",
            f"{row['without_ms']:.0f}",
            "{median:.3f} [{low:.3f}, {high:.3f}]".format(**row["ratio"]),
        ]
        for row in measured(rows).values()
    ]
    return markdown("plugin installed, unused, ms: | -p no:kito, ms: | ratio:", lines)


def _run_pytest(folder: Path, options: tuple[str, ...]) -> None:
    # Python must write its compiled modules: an installed package has them.
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.DEVNULL, check=True)
