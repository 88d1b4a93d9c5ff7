"""``examples/two-frameworks``: gated and tested as it stands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "two-frameworks"


def test_it_passes_its_own_gate_and_tests(tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    command = [sys.executable, "-m", "pytest", "--kito-check", "--kito-artifacts", "made"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "14 passed" in done.stdout
    made = {x.name for x in (copy / "made").iterdir()}
    assert {"keras_digits.keras", "torch_digits.pt2"} <= made
