"""What the folders of tests that need PyTorch have in their ``conftest.py``."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]
"""All of them, where PyTorch is not installed."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Each test draws the same weights in every run."""
    importlib.import_module("torch").manual_seed(0)
