"""release.sh: publishes exactly the verified files of the manifest, from a complete draft."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from action.acting import BIN, ROOT, STAND_INS, Run
from kito.export.publishing import update_manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Linux runners")
NAMES = {"a.keras", "b.keras", "kito-manifest.json", "SHA256SUMS"}
Release = Callable[..., Run]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Artifacts of two models, with the report of their run beside them."""
    return make(tmp_path / "artifacts")


def make(folder: Path, content: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    entries, models = [], []
    for name in "ab":
        data = f"{name}{content}".encode()
        (folder / f"{name}.keras").write_bytes(data)
        artifact = {
            "format": "keras",
            "file": f"{name}.keras",
            "bytes": len(data),
            "sha256": sha256(data).hexdigest(),
        }
        entries.append({"model": name, **artifact, "versions": {"kito": "1"}})
        models.append({"name": name, "artifacts": [artifact]})
    update_manifest(folder, entries)
    report = folder.with_name("report.json")
    report.write_text(json.dumps({"passed": True, "models": models}))
    return folder


@pytest.fixture
def release(folder: Path, state: Path, tmp_path: Path) -> Release:
    (tmp_path / "summary.md").write_text("| the table |\n")

    def run(**env: str) -> Run:
        given = {
            **os.environ,
            "PATH": f"{STAND_INS}:{BIN}:{os.environ['PATH']}",
            "STAND_IN_STATE": str(state),
            "KITO_RETRY_SECONDS": "0",
            "KITO_PASSED": "true",
            "KITO_ARTIFACTS_DIR": str(folder),
            "KITO_REPORT": str(tmp_path / "report.json"),
            "KITO_SUMMARY": str(tmp_path / "summary.md"),
            "INPUT_RELEASE_TAG": "",
            "GITHUB_REF_NAME": "v1",
            "GITHUB_REPOSITORY": "me/models",
            "GH_TOKEN": "none",
            "RUNNER_TEMP": str(tmp_path),
            **env,
        }
        done = subprocess.run(
            ["bash", str(ROOT / "action" / "release.sh")],
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode == 0, done.stdout, state)

    return run


def found(run: Run, tag: str = "v1") -> dict[str, Any]:
    release = run.release(tag)
    assert release is not None, run.log
    return release


def verbs(run: Run) -> list[str]:
    return [asked[1] for asked in run.asked]


def test_a_release_gets_exactly_the_files_of_the_manifest(release: Release, folder: Path) -> None:
    run = release()
    assert run.passed, run.log
    assert found(run)["files"] == {name: (folder / name).read_bytes() for name in NAMES}
    assert not found(run)["isDraft"]
    assert "| the table |" in found(run)["body"]
    # It stops being a draft in the last step, after the files were read back.
    assert verbs(run)[-2:] == ["download", "edit"]


def test_the_same_release_again_changes_nothing(
    release: Release, folder: Path, state: Path
) -> None:
    first = found(release())
    # The manifest of another run has another time.
    manifest = json.loads((folder / "kito-manifest.json").read_text())
    manifest["files"][0]["created"] = "later"
    (folder / "kito-manifest.json").write_text(json.dumps(manifest))
    (state / "gh.log").unlink()
    run = release()
    assert run.passed, run.log
    assert "is complete" in run.log
    assert found(run) == first
    assert set(verbs(run)) == {"view", "download"}


def test_a_published_release_is_never_changed(release: Release, folder: Path) -> None:
    first = found(release())
    make(folder, "other")
    run = release()
    assert not run.passed
    assert "is published already" in run.log
    assert found(run) == first


def test_a_release_that_was_published_without_artifacts_is_not_changed(
    release: Release, state: Path
) -> None:
    write(state, draft=False)
    run = release()
    assert not run.passed
    assert "is published already" in run.log
    assert found(run)["files"] == {}


def test_a_draft_keeps_its_words_and_gets_one_table(release: Release, state: Path) -> None:
    old = "<!-- kito: begin -->\nold\n<!-- kito: end -->"
    write(state, draft=True, body=f"What is new.\n\n{old}\n\nThanks.")
    (state / "releases" / "v1" / "a.keras").write_bytes(b"from a run that broke off")
    run = release()
    assert run.passed, run.log
    body = found(run)["body"]
    assert body.startswith("What is new.\n\nThanks.\n\n<!-- kito: begin -->")
    assert body.count("<!-- kito: begin -->") == 1
    assert "old" not in body
    assert found(run)["files"]["a.keras"] == b"a"


def test_a_draft_with_other_files_is_refused(release: Release, state: Path) -> None:
    write(state, draft=True)
    (state / "releases" / "v1" / "notes.pdf").write_bytes(b"x")
    run = release()
    assert not run.passed
    assert "notes.pdf" in run.log
    assert found(run)["files"].keys() == {"notes.pdf"}


def write(state: Path, *, draft: bool, body: str = "") -> None:
    (state / "releases" / "v1").mkdir(parents=True)
    (state / "releases.json").write_text(json.dumps({"v1": {"isDraft": draft, "body": body}}))
    (state / "gh.log").touch()


def test_failed_calls_are_retried_after_doubling_pauses(
    release: Release, state: Path, tmp_path: Path
) -> None:
    sleep = tmp_path / "bin" / "sleep"
    sleep.parent.mkdir()
    sleep.write_text("#!/usr/bin/env bash\n")
    sleep.chmod(0o755)
    verbs = ("view", "create", "upload", "download", "edit")
    (state / "gh.fail").write_text(json.dumps([[[verb], 4] for verb in verbs]))
    path = f"{sleep.parent}:{STAND_INS}:{BIN}:{os.environ['PATH']}"
    run = release(PATH=path, KITO_RETRY_SECONDS="2")
    assert run.passed, run.log
    assert not found(run)["isDraft"]
    pauses = re.findall(r"the next is in (\d+) s", run.log)
    assert pauses == ["2", "4", "8", "16"] * len(verbs)


@pytest.mark.parametrize("verb", ["create", "upload", "edit"])
def test_a_permanent_failure_publishes_nothing(release: Release, state: Path, verb: str) -> None:
    (state / "gh.fail").write_text(json.dumps([[[verb], 5]]))
    run = release()
    assert not run.passed
    assert "::error title=pytest-kito::" in run.log
    assert (run.release() or {"isDraft": True})["isDraft"]


def test_corrupted_uploads_are_not_published(release: Release, state: Path) -> None:
    (state / "gh.spoil").write_text("b.keras")
    run = release()
    assert not run.passed
    assert "'b.keras' as downloaded" in run.log
    assert found(run)["isDraft"]


def spoil_bytes(folder: Path) -> None:
    (folder / "a.keras").write_bytes(b"x")


def drop_file(folder: Path) -> None:
    (folder / "a.keras").unlink()


def add_file(folder: Path) -> None:
    (folder / "notes.txt").touch()


def add_model(folder: Path) -> None:
    (folder / "c.keras").touch()


def drop_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def fail_report(folder: Path) -> None:
    report = folder.with_name("report.json")
    report.write_text(report.read_text().replace("true", "false"))


def prove_other_bytes(folder: Path) -> None:
    """Artifacts and manifest agree, but differ from those in the run's report."""
    report = folder.with_name("report.json").read_text()
    make(folder, "other")
    folder.with_name("report.json").write_text(report)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (spoil_bytes, "a.keras: is not what was proved"),
        (drop_file, "a.keras: is missing"),
        (add_file, "'notes.txt'"),
        (add_model, "c.keras"),
        (drop_sums, "SHA256SUMS"),
        (fail_report, "the report says that the checks did not pass"),
        (prove_other_bytes, "does not list exactly the files that the report says were proved"),
    ],
)
def test_artifacts_that_differ_from_the_checked_ones_are_not_published(
    release: Release, folder: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(folder)
    run = release()
    assert not run.passed
    assert said in run.log
    assert run.asked == []


def test_nothing_is_published_from_a_run_that_failed(release: Release) -> None:
    run = release(KITO_PASSED="false")
    assert not run.passed
    assert "the checks did not pass" in run.log
    assert run.asked == []


def test_a_tag_can_be_named(release: Release) -> None:
    run = release(INPUT_RELEASE_TAG="models/v2")
    assert run.passed, run.log
    assert found(run, "models/v2")["files"].keys() == NAMES
