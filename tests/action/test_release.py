"""release.sh on a draft: exactly the verified files of the manifest, of the commit of the tag.

test_published.py tests it on a release that is published already.
"""

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

from action.acting import BIN, STAND_INS
from action.releasing import (
    COMMIT,
    NAMES,
    OTHER,
    Release,
    change_manifest,
    found,
    make,
    put_release,
    put_tags,
    verbs,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Linux runners")


def test_a_release_gets_exactly_the_files_of_the_manifest(release: Release, folder: Path) -> None:
    run = release()
    assert run.passed, run.log
    assert found(run)["files"] == {name: (folder / name).read_bytes() for name in NAMES}
    assert not found(run)["isDraft"]
    assert "| the table |" in found(run)["body"]
    assert "gh attestation" not in found(run)["body"]  # they are not signed
    # It stops being a draft in the last step, after the files were read back.
    assert verbs(run)[-3:] == ["download", "api", "edit"]


def test_a_draft_keeps_its_words_and_gets_one_table(release: Release, state: Path) -> None:
    old = "<!-- kito: begin -->\nold\n<!-- kito: end -->"
    put_release(state, draft=True, body=f"What is new.\n\n{old}\n\nThanks.")
    (state / "releases" / "v1" / "a.keras").write_bytes(b"from a run that broke off")
    run = release()
    assert run.passed, run.log
    body = found(run)["body"]
    assert body.startswith("What is new.\n\nThanks.\n\n<!-- kito: begin -->")
    assert body.count("<!-- kito: begin -->") == 1
    assert "old" not in body
    assert found(run)["files"]["a.keras"] == b"a"


def test_a_draft_with_other_files_is_refused(release: Release, state: Path) -> None:
    put_release(state, draft=True)
    (state / "releases" / "v1" / "notes.pdf").write_bytes(b"x")
    run = release()
    assert not run.passed
    assert "notes.pdf" in run.log
    assert found(run)["files"].keys() == {"notes.pdf"}


@pytest.mark.slow
def test_failed_calls_are_retried_after_doubling_pauses(
    release: Release, state: Path, tmp_path: Path
) -> None:
    sleep = tmp_path / "bin" / "sleep"
    sleep.parent.mkdir()
    sleep.write_text("#!/usr/bin/env bash\n")
    sleep.chmod(0o755)
    verbs = ("git/ref", "view", "create", "upload", "download", "edit")
    (state / "gh.fail").write_text(json.dumps([[[verb], 4] for verb in verbs]))
    path = f"{sleep.parent}:{STAND_INS}:{BIN}:{os.environ['PATH']}"
    run = release(PATH=path, KITO_RETRY_SECONDS="2")
    assert run.passed, run.log
    assert not found(run)["isDraft"]
    pauses = re.findall(r"the next is in (\d+) s", run.log)
    assert pauses == ["2", "4", "8", "16"] * len(verbs)


@pytest.mark.parametrize(
    "verb",
    ["git/ref", *(pytest.param(x, marks=pytest.mark.slow) for x in ("create", "upload", "edit"))],
)
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


def test_a_draft_loses_what_an_upload_that_broke_off_left(release: Release, state: Path) -> None:
    put_release(state, draft=True, files={"a.keras": b""}, starter=["a.keras"])
    run = release()
    assert run.passed, run.log
    assert found(run)["files"]["a.keras"] == b"a"


def test_a_name_that_github_would_change_is_refused(release: Release, folder: Path) -> None:
    text = folder.with_name("report.json").read_text()
    for path in (*folder.iterdir(), folder.with_name("report.json")):
        path.write_text(path.read_text().replace("a.keras", "a..x.keras").replace('"a"', '"a..x"'))
    (folder / "a.keras").rename(folder / "a..x.keras")
    assert "a..x" not in text
    run = release()
    assert not run.passed
    assert "GitHub would change the file name 'a..x.keras'" in run.log
    assert run.asked == []


@pytest.mark.parametrize(
    "count, passed", [pytest.param(998, True, marks=pytest.mark.slow), (999, False)]
)
def test_more_files_than_github_takes_are_refused_before_anything_is_uploaded(
    release: Release, state: Path, count: int, passed: bool
) -> None:
    # Two models, the manifest and the sums: 1,000 files are allowed.
    put_release(state, draft=False, files={f"{i}.txt": b"" for i in range(count - 2)})
    run = release()
    assert run.passed == passed, run.log
    assert passed or "would have 1001 files, and GitHub allows 1000" in run.log
    assert ("upload" in verbs(run)) == passed


# ---- the tag and its commit -------------------------------------------------------------------


def test_an_annotated_tag_is_followed_to_its_commit(release: Release, state: Path) -> None:
    first, second = "a1" * 20, "b2" * 20
    points = {first: ("tag", second), second: ("commit", COMMIT)}
    put_tags(state, v1=("tag", first), **points)
    run = release()
    assert run.passed, run.log
    put_tags(state, v1=("tag", first), **points | {second: ("commit", OTHER)})
    assert f"the tag 'v1' is commit {OTHER}" in release().log


@pytest.mark.parametrize(
    "tags, manifest, said",
    [
        ({"v1": ("commit", OTHER)}, {}, f"at commit {COMMIT}, but the tag 'v1' is commit {OTHER}"),
        ({"v2": ("commit", COMMIT)}, {}, "there is no tag 'v1' of a commit in me/models"),
        ({"v1": ("tree", COMMIT)}, {}, "there is no tag 'v1' of a commit in me/models"),
        ({"v1": ("tag", OTHER), OTHER: ("tag", OTHER)}, {}, "there is no tag 'v1' of a commit"),
        ({}, {"commit": ...}, "names no commit at which all files were proved"),
        ({}, {"commit": "main"}, "names no commit at which all files were proved"),
        ({}, {"modified": True}, f"differed from commit {COMMIT}"),
        ({}, {"modified": None}, "git did not say whether files under version control differed"),
        ({}, {"repository": "me/fork"}, "in the repository 'me/fork', not in 'me/models'"),
    ],
)
def test_files_that_were_not_proved_at_the_commit_of_the_tag_are_refused(
    release: Release, folder: Path, state: Path, tags: Any, manifest: dict[str, Any], said: str
) -> None:
    # A draft that is there already does not replace the tag.
    put_release(state, draft=True)
    put_tags(state, **tags or {"v1": ("commit", COMMIT)})
    change_manifest(folder, **manifest)
    run = release()
    assert not run.passed
    assert said in run.log
    assert run.log.count("\n") == 1
    assert set(verbs(run)) == {"api"}


def test_a_tag_that_moves_during_the_upload_leaves_a_draft(
    release: Release, state: Path, tmp_path: Path
) -> None:
    # cmp first compares the files with those on the draft, after the tag was read.
    mover = tmp_path / "bin" / "cmp"
    mover.parent.mkdir()
    moved = json.dumps({"v1": ["commit", OTHER]})
    mover.write_text(f"#!/bin/sh\necho '{moved}' >'{state}/tags.json'\nexec /usr/bin/cmp \"$@\"\n")
    mover.chmod(0o755)
    run = release(PATH=f"{mover.parent}:{STAND_INS}:{BIN}:{os.environ['PATH']}")
    assert not run.passed
    assert f"the tag 'v1' is commit {OTHER}" in run.log
    assert found(run)["isDraft"]
    assert "edit" not in verbs(run)


# ---- the notes --------------------------------------------------------------------------------


def test_the_notes_tell_the_digest_of_the_manifest_and_how_to_check(
    release: Release, folder: Path
) -> None:
    body = found(release(INPUT_ATTEST="true"))["body"]
    digest = sha256((folder / "kito-manifest.json").read_bytes()).hexdigest()
    assert f"SHA-256 of `kito-manifest.json`: `{digest}`" in body
    commands = re.search(r"```sh\n(.+)\n```", body, re.DOTALL)
    assert commands is not None
    checks = commands[1].splitlines()
    assert checks.pop() == "gh attestation verify kito-manifest.json --repo me/models"
    # The commands are run as they are.
    path = f"{BIN}:{os.environ['PATH']}"
    for check in checks:
        done = subprocess.run(
            check, shell=True, cwd=folder, env={**os.environ, "PATH": path}, check=False
        )
        assert done.returncode == 0, check
    assert [check.split()[0] for check in checks] == ["sha256sum", "echo", "kito"]


@pytest.mark.slow
def test_without_any_room_the_notes_stay_as_they_are(release: Release, state: Path) -> None:
    words = "y" * 124_990
    put_release(state, draft=True, body=words)
    run = release()
    assert run.passed, run.log
    assert "::warning title=pytest-kito::the notes of the release of 'v1' have no room" in run.log
    assert found(run)["body"] == words
    assert not found(run)["isDraft"]


# ---- what may be published --------------------------------------------------------------------


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


def leave_a_check_out(folder: Path) -> None:
    change_report(folder, not_run=["speedup[1]"])


def cut_short(folder: Path) -> None:
    report = folder.with_name("report.json")
    report.write_text(json.dumps({**json.loads(report.read_text()), "interrupted": True}))


def change_report(folder: Path, **values: Any) -> None:
    """Set values of the last model in the report."""
    report = folder.with_name("report.json")
    data = json.loads(report.read_text())
    data["models"][-1].update(values)
    report.write_text(json.dumps(data))


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
        (cut_short, "the report says that the checks did not pass"),
        (leave_a_check_out, "checks of 'b' were not run: 'speedup[1]'; a release needs all"),
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


@pytest.mark.slow
def test_a_tag_can_be_named(release: Release, state: Path) -> None:
    put_tags(state, **{"models/v2+1": ("commit", COMMIT)})
    run = release(INPUT_RELEASE_TAG="models/v2+1")
    assert run.passed, run.log
    assert found(run, "models/v2+1")["files"].keys() == NAMES
