"""Where the files of a manifest come from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kito.export.manifest import MANIFEST, verify
from kito.export.origin import common, head, origin
from kito.export.publishing import merge_folders, update_manifest

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture(autouse=True)
def _outside_of_github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REPOSITORY", "REF", "SHA", "RUN_ID", "RUN_ATTEMPT"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def in_github(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    given = {
        "REPOSITORY": "owner/models",
        "REF": "refs/tags/v1",
        "RUN_ID": "123",
        "RUN_ATTEMPT": "2",
        "SHA": "a" * 40,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    return {"repository": "owner/models", "ref": "refs/tags/v1", "run": "123", "attempt": "2"}


def git(folder: Path, *command: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *author, *command], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "kito.yaml").write_text("version: 1")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_commit_and_whether_it_was_modified(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "not tracked").write_text("")
    assert origin(repository) == {"commit": commit, "modified": False}
    (repository / "kito.yaml").write_text("version: 2")
    assert origin(repository) == {"commit": commit, "modified": True}


def test_another_commit_that_is_checked_out_meanwhile(repository: Path) -> None:
    first = head(repository)
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "second")
    assert origin(repository, first) == {"commit": first, "modified": True}


def test_githubs_names_and_the_commit_that_is_there(
    repository: Path, in_github: dict[str, str]
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert origin(repository) == {**in_github, "commit": commit, "modified": False}


def test_outside_of_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    assert origin(tmp_path) == {}
    in_github = request.getfixturevalue("in_github")
    assert origin(tmp_path) == {**in_github, "commit": "a" * 40}
    monkeypatch.setenv("GITHUB_SHA", "--option")
    assert origin(tmp_path) == in_github


def test_without_git_there_is_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin(repository) == {}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="gives files to another user")
def test_a_checkout_of_another_user(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 12345, 12345)
    assert origin(repository) == {"commit": commit, "modified": False}


def test_a_hooks_variables_about_another_repository_change_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert head(repository) is not None


ONE = {"repository": "owner/models", "commit": "1" * 40, "run": "1", "modified": False}
TWO = {**ONE, "commit": "2" * 40}
BOTH = {"repository": "owner/models", "run": "1", "modified": False}


def entered(folder: Path, name: str, given: dict[str, Any] | None) -> None:
    """Publish a file of a run of this origin into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.keras").write_bytes(b"")
    entry = {
        "model": name,
        "format": "keras",
        "file": f"{name}.keras",
        "bytes": 0,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "versions": {},
    }
    update_manifest(folder, [entry if given is None else {**entry, "origin": given}])


def top(folder: Path) -> dict[str, Any]:
    """What the manifest of a folder says of all its files."""
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest.pop("schema_version") == 1
    assert [entry["model"] for entry in manifest.pop("files")]
    assert verify(folder) == []
    return dict(manifest)


def test_a_manifest_says_what_all_its_files_have_in_common(tmp_path: Path) -> None:
    entered(tmp_path, "a", ONE)
    entered(tmp_path, "b", ONE)
    assert top(tmp_path) == ONE
    entered(tmp_path, "b", TWO)
    assert top(tmp_path) == BOTH
    entered(tmp_path, "a", TWO)
    assert top(tmp_path) == TWO
    entered(tmp_path, "c", None)
    assert top(tmp_path) == {}
    files = json.loads((tmp_path / MANIFEST).read_text())["files"]
    assert [entry.get("origin") for entry in files] == [TWO, TWO, None]


@pytest.mark.parametrize("second, agreed", [(ONE, ONE), (TWO, BOTH)])
def test_merged_folders_keep_the_origins(
    tmp_path: Path, second: dict[str, Any], agreed: dict[str, Any]
) -> None:
    entered(tmp_path / "one", "a", ONE)
    entered(tmp_path / "two", "b", second)
    merge_folders([tmp_path / "one", tmp_path / "two"], tmp_path / "all")
    assert top(tmp_path / "all") == agreed
    files = json.loads((tmp_path / "all" / MANIFEST).read_text())["files"]
    assert [entry["origin"] for entry in files] == [ONE, second]


def test_a_manifest_says_whether_the_bytes_can_be_reproduced(tmp_path: Path) -> None:
    entered(tmp_path, "a", None)
    entry = json.loads((tmp_path / MANIFEST).read_text())["files"][0]
    path = tmp_path / "b.saved_model.tar.gz"
    path.write_bytes(b"")
    other = {**entry, "model": "b", "format": "saved_model", "file": path.name}
    del other["reproducible"]
    update_manifest(tmp_path, [other])
    files = json.loads((tmp_path / MANIFEST).read_text())["files"]
    assert [entry["reproducible"] for entry in files] == [True, False]


@pytest.mark.parametrize(
    "origins, agreed",
    [
        ([], {}),
        ([None, {"commit": "a"}], {}),
        # A job that was run again has another attempt.
        ([{"run": "1", "attempt": "1"}, {"run": "1", "attempt": "2"}], {"run": "1"}),
        ([{"modified": False}, {"modified": False}], {"modified": False}),
        ([{"modified": False}, {}], {}),
        ([{"modified": False}, {"modified": None}], {"modified": None}),
        ([{"modified": None}, {"modified": True}, {}], {"modified": True}),
    ],
)
def test_what_all_files_of_a_manifest_have_in_common(
    origins: list[dict[str, Any] | None], agreed: dict[str, Any]
) -> None:
    assert common([{} if x is None else {"origin": x} for x in origins]) == agreed
