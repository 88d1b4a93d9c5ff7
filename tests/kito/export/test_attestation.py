"""kito verify --attestation, by the real gh, offline, on signatures by a test's own authority."""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, SUMS
from kito.export.publishing import update_manifest
from pytest_kito.cli.answers import WRONG_USE
from pytest_kito.cli.app import app
from signing import Signer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gh is installed on Linux only")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("keys") / "signer", "me/models")


@pytest.fixture(autouse=True)
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real gh, without the settings of whoever runs the tests."""
    for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "GH_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GH_CONFIG_DIR", str(tmp_path / "gh"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of one artifact."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / "net.keras").write_bytes(b"net")
    entry = {
        "model": "net",
        "format": "keras",
        "file": "net.keras",
        "bytes": 3,
        "sha256": sha256(b"net").hexdigest(),
        "versions": {"kito": "1"},
    }
    update_manifest(folder, [entry])
    return folder


def verify(folder: Path, *options: str | Path) -> tuple[int, str]:
    """The exit code and what was printed."""
    arguments = ["verify", str(folder), "--attestation", *map(str, options)]
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, KitoError):
        return WRONG_USE, str(result.exception)
    return result.exit_code, result.output


def bundle(folder: Path, signer: Signer, *files: Path) -> Path:
    path = folder.with_name("bundle.jsonl")
    path.write_text(signer.sign(*(files or folder.iterdir())))
    return path


def test_a_signed_manifest_is_verified_offline(folder: Path, signer: Signer) -> None:
    signature = bundle(folder, signer)
    options = ("--repo", "me/models", "--bundle", signature, "--trusted-root", signer.trusted_root)
    code, text = verify(folder, *options)
    assert code == 0, text
    assert "signed by https://github.com/me/models/.github/workflows/a.yml@v1" in text
    assert json.loads(verify(folder, *options, "--json")[1]) == {
        "passed": True,
        "problems": [],
        "attestation": {
            "repository": "me/models",
            "workflow": "https://github.com/me/models/.github/workflows/a.yml@v1",
            "ref": "refs/tags/v1",
            "commit": "c" * 40,
            "run": "https://github.com/me/models/actions/runs/7/attempts/1",
        },
    }


def test_a_directory_of_bundles_is_searched_by_digest(folder: Path, signer: Signer) -> None:
    downloads = folder.with_name("downloads")
    downloads.mkdir()
    options = ("--repo", "me/models", "--bundle", downloads, "--trusted-root", signer.trusted_root)
    digest = sha256((folder / MANIFEST).read_bytes()).hexdigest()
    code, text = verify(folder, *options)
    assert code == 1
    assert f"holds no signature of it, sha256:{digest}" in text
    (downloads / f"sha256:{digest}.jsonl").write_text(signer.sign(folder / MANIFEST))
    assert verify(folder, *options)[0] == 0


@pytest.mark.parametrize(
    "repository, signed",
    [("other/models", "all"), ("me/models", SUMS)],
    ids=["another repository", "another file"],
)
def test_a_signature_of_another_is_none(
    folder: Path, signer: Signer, repository: str, signed: str
) -> None:
    files = () if signed == "all" else (folder / signed,)
    signature = bundle(folder, signer, *files)
    root = ("--trusted-root", signer.trusted_root)
    code, text = verify(folder, "--repo", repository, "--bundle", signature, *root)
    assert code == 1
    assert f"kito-manifest.json: is not signed by a workflow of {repository}: " in text
    assert len(text.splitlines()) == 1


def test_a_key_that_is_not_trusted_signs_nothing(folder: Path, signer: Signer) -> None:
    stranger = Signer(folder.with_name("stranger"), "me/models")
    signature = bundle(folder, stranger)
    root = ("--trusted-root", signer.trusted_root)
    code, text = verify(folder, "--repo", "me/models", "--bundle", signature, *root)
    assert (code, "is not signed" in text) == (1, True)


def test_a_reusable_workflow_of_another_repository_must_be_named(folder: Path) -> None:
    signer = Signer(folder.with_name("reusable"), "me/models", workflow_of="kito/pytest-kito")
    signature = bundle(folder, signer)
    root = ("--trusted-root", signer.trusted_root)
    options = ("--repo", "me/models", "--bundle", signature, *root)
    assert verify(folder, *options)[0] == 1
    assert verify(folder, *options, "--signer-repo", "kito/pytest-kito")[0] == 0


def test_a_changed_artifact_is_found_though_the_manifest_is_signed(
    folder: Path, signer: Signer
) -> None:
    signature = bundle(folder, signer)
    (folder / "net.keras").write_bytes(b"bad")
    root = ("--trusted-root", signer.trusted_root)
    code, text = verify(folder, "--repo", "me/models", "--bundle", signature, *root)
    assert (code, text) == (1, "net.keras: is not what was proved, its SHA-256 differs\n")


@pytest.mark.parametrize(
    "script, code, message",
    [
        ("exit 0", 1, "gh verified no statement about it"),
        ("echo '[]'", 1, "gh verified no statement about it"),
        ("echo '[{\"verificationResult\": 3}]'", 1, "gh verified no statement about it"),
        ("printf '\\033[31mno\\n::error::x\\n' >&2; exit 1", 1, "me/models: ::error::x"),
        ("exit 4", 2, "gh auth login"),
        (None, 2, "needs the GitHub CLI"),
    ],
)
def test_gh_is_not_believed_without_a_statement(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, code: int, message: str
) -> None:
    """Before 2.67, gh's exit code was 0 where nothing had been verified."""
    programs = folder.with_name("programs")
    programs.mkdir()
    if script is not None:
        (programs / "gh").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    found, text = verify(folder, "--repo", "me/models")
    assert found == code
    assert message in text
    assert "\x1b" not in text


def test_the_repository_is_not_taken_from_the_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--repo OWNER/REPOSITORY" in verify(folder)[1]
    assert "is not a repository" in verify(folder, "--repo", "https://github.com/me/models")[1]
    assert "there is no file" in verify(folder, "--repo", "me/models", "--bundle", "no.jsonl")[1]
    # A job on GitHub trusts its own repository.
    monkeypatch.setenv("GITHUB_REPOSITORY", "no repository")
    assert "'no repository' is not a repository" in verify(folder)[1]
