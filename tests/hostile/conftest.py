"""Valid files of every kind, from which the hostile ones are made, and a process to try them in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile.commands import Commands
from hostile.valid import write_valid


@pytest.fixture(scope="session")
def commands(valid: Path) -> Iterator[Commands]:
    runner = Commands(warm=[["kito", "compare", "model.keras", "model.keras"]], folder=valid)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of valid files; no test changes it."""
    folder = tmp_path_factory.mktemp("valid")
    write_valid(folder)
    return folder
