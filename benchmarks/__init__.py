"""All that this repository says about speed, memory and accuracy, measured by one command."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""

# The networks of tests/zoo and the simulated machine of tests/simulated.py are measured here too.
if str(ROOT / "tests") not in sys.path:
    sys.path.append(str(ROOT / "tests"))
