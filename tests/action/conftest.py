"""What a test of the action runs in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from action.acting import ROOT, Run, make_repository, run_act


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of pytest-kito as a checkout of it has it, as far as the action needs it."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("action", ".github", "kito", "pytest_kito"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What the stand-ins keep."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def model_repository(tmp_path: Path) -> Path:
    """A Git repository with three models and a tag."""
    return make_repository(tmp_path / "repository")


@pytest.fixture
def act(source: Path, state: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Run a workflow in a repository."""

    def run(repository: Path, workflow: str, **options: Any) -> Run:
        home = tmp_path_factory.mktemp("home")
        return run_act(source, state, home, repository, workflow, **options)

    return run


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of one session of all models, without action and shards."""
    folder = make_repository(tmp_path_factory.mktemp("whole") / "repository")
    command = [sys.executable, "-m", "pytest", "--kito-check", "kito.yaml", "-q"]
    command += ["--kito-report=report.json", "--kito-artifacts=artifacts", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report
