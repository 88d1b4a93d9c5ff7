"""Fixtures of the tests of the action."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from action.acting import ROOT, Folders, Run, gate, make_repository, run_act
from action.releasing import COMMIT, Release, make, put_tags, run_release


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the parts of pytest-kito's source that the action needs."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("action", ".github", "kito", "pytest_kito"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder in which the stand-ins store their data."""
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
        return run_act(Folders(source, state, home), repository, workflow, **options)

    return run


@pytest.fixture(scope="session")
def passing(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A passing gate on all models, with signing; the state also holds its report."""
    folder = tmp_path_factory.mktemp("passing")
    state, home = folder / "state", folder / "home"
    state.mkdir()
    home.mkdir()
    keep = '- run: cp kito-report.json "$STAND_IN_STATE"'
    workflow = gate({"attest": "true"}, after=keep)
    signing = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.com"}
    repository = make_repository(folder / "repository")
    return run_act(Folders(source, state, home), repository, workflow, env=signing)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Artifacts of two models, with the report and the summary of their run beside them."""
    (tmp_path / "summary.md").write_text("| the table |\n")
    return make(tmp_path / "artifacts")


@pytest.fixture
def release(folder: Path, state: Path) -> Release:
    """Run release.sh; the tag v1 is the commit of the artifacts."""
    put_tags(state, v1=("commit", COMMIT))
    return partial(run_release, folder, state)
