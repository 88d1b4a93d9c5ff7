"""Left out where PyTorch is not installed; each test draws the same weights in every run."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    importlib.import_module("torch").manual_seed(0)
