"""release.sh on a release that is published already: files are added, never replaced or deleted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from action.releasing import (
    COMMIT,
    NAMES,
    OTHER,
    Release,
    change_manifest,
    found,
    make,
    put_complete,
    put_release,
    put_tags,
    verbs,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Linux runners")


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def uploaded(asked: list[list[str]]) -> list[str]:
    assert not [words for words in asked if "upload" in words and "--clobber" in words]
    return [Path(words[5]).name for words in asked if words[1] == "upload"]


def test_files_are_added_to_a_release_that_a_person_published(
    release: Release, folder: Path, state: Path
) -> None:
    put_release(state, draft=False, body="What is new.", files={"notes.pdf": b"a person's"})
    run = release()
    assert run.passed, run.log
    assert found(run)["files"] == {**read(folder), "notes.pdf": b"a person's"}
    assert not found(run)["isDraft"]
    assert found(run)["body"].startswith("What is new.\n\n<!-- kito: begin -->\n\n| the table |")
    # Who sees SHA256SUMS sees all files.
    assert uploaded(run.asked) == ["a.keras", "b.keras", "kito-manifest.json", "SHA256SUMS"]


def test_the_same_run_again_changes_nothing(release: Release, folder: Path, state: Path) -> None:
    first = put_complete(state, folder)
    # The manifest of another run has another time.
    change_manifest(folder, files=[{**x, "created": "later"} for x in entries(folder)])
    run = release()
    assert run.passed, run.log
    assert "is complete, with these very files" in run.log
    assert found(run) == first
    assert set(verbs(run)) == {"api", "view", "download"}


def entries(folder: Path) -> Any:
    return json.loads((folder / "kito-manifest.json").read_text())["files"]


@pytest.mark.parametrize(
    "spoilt",
    [
        "a.keras",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("kito-manifest.json", "SHA256SUMS")),
    ],
)
def test_a_file_of_other_bytes_fails_before_anything_is_uploaded(
    release: Release, state: Path, folder: Path, spoilt: str
) -> None:
    put_release(state, draft=False, files={**read(folder), spoilt: b"{}"})
    (state / "releases" / "v1" / "b.keras").unlink()
    first = run_files(state)
    run = release()
    assert not run.passed
    assert "nothing on it is replaced" in run.log
    assert spoilt in run.log
    assert run.log.count("\n") == 1
    assert run_files(state) == first
    assert set(verbs(run)) == {"api", "view", "download"}


def run_files(state: Path) -> dict[str, bytes]:
    return read(state / "releases" / "v1")


def test_another_commit_is_refused(release: Release, state: Path) -> None:
    put_release(state, draft=False)
    put_tags(state, v1=("commit", OTHER))
    run = release()
    assert not run.passed
    assert f"at commit {COMMIT}, but the tag 'v1' is commit {OTHER}" in run.log
    assert found(run)["files"] == {}


def test_a_release_of_another_commit_is_an_error_though_its_bytes_are_the_same(
    release: Release, folder: Path, state: Path
) -> None:
    first = put_complete(state, folder)
    # Somebody moved the tag: the manifest on the release tells another commit.
    put_tags(state, v1=("commit", OTHER))
    change_manifest(folder, commit=OTHER)
    run = release()
    assert not run.passed
    assert f"is of commit '{COMMIT}', but the tag is now commit {OTHER}" in run.log
    assert found(run) == first


@pytest.mark.parametrize(
    "there",
    [
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(("a.keras",), marks=pytest.mark.slow),
        ("a.keras", "kito-manifest.json"),
    ],
)
def test_a_run_that_broke_off_is_completed(
    release: Release, folder: Path, state: Path, there: tuple[str, ...]
) -> None:
    put_release(state, draft=False, files={name: read(folder)[name] for name in there})
    first = run_files(state)
    change_manifest(folder, files=[{**x, "created": "later"} for x in entries(folder)])
    run = release()
    assert run.passed, run.log
    # A manifest of the same digests stays; the digest in the notes is that of this very file.
    assert found(run)["files"] == {**read(folder), **first}
    assert set(uploaded(run.asked)) == NAMES - set(there)
    assert uploaded(run.asked)[-1] == "SHA256SUMS"


@pytest.mark.slow
def test_a_file_that_another_run_adds_at_the_same_time_is_read_back(
    release: Release, folder: Path, state: Path
) -> None:
    race = state / "gh.race"
    race.mkdir()
    for name in NAMES:
        (race / name).write_bytes(read(folder)[name])
    put_release(state, draft=False)
    run = release()
    assert run.passed, run.log
    assert found(run)["files"] == read(folder)
    assert list(race.iterdir()) == []


@pytest.mark.slow
def test_other_bytes_that_another_run_adds_at_the_same_time_are_an_error(
    release: Release, folder: Path, state: Path
) -> None:
    (state / "gh.race").mkdir()
    (state / "gh.race" / "b.keras").write_bytes(b"other")
    put_release(state, draft=False)
    run = release()
    assert not run.passed
    assert "its file 'b.keras' has other bytes than that of this run" in run.log
    assert found(run)["files"].keys() == NAMES - {"SHA256SUMS"}
    assert found(run)["files"]["b.keras"] == b"other"


@pytest.mark.slow
def test_a_spoilt_upload_leaves_the_release_without_sums(release: Release, state: Path) -> None:
    put_release(state, draft=False)
    (state / "gh.spoil").write_text("b.keras")
    run = release()
    assert not run.passed
    assert "its file 'b.keras' has other bytes" in run.log
    assert "SHA256SUMS" not in found(run)["files"]


def test_an_upload_that_broke_off_is_named(release: Release, state: Path) -> None:
    put_release(state, draft=False, files={"a.keras": b""}, starter=["a.keras"])
    run = release()
    assert not run.passed
    assert "the upload of a.keras to the release of 'v1' has not ended" in run.log
    assert "upload" not in verbs(run)


@pytest.mark.slow
def test_a_failed_upload_is_tried_again(release: Release, folder: Path, state: Path) -> None:
    put_release(state, draft=False)
    (state / "gh.fail").write_text(json.dumps([[["upload", "a.keras"], 4], [["SHA256SUMS"], 1]]))
    run = release()
    assert run.passed, run.log
    assert found(run)["files"] == read(folder)


def test_an_immutable_release_is_an_error_that_names_the_other_workflow(
    release: Release, state: Path
) -> None:
    put_release(state, draft=False, immutable=True)
    run = release()
    assert not run.passed
    assert "is immutable, so no file can be added" in run.log
    assert "from a pushed tag or from a draft" in run.log
    assert "upload" not in verbs(run)


@pytest.mark.slow
def test_an_immutable_release_that_is_complete_needs_nothing(
    release: Release, folder: Path, state: Path
) -> None:
    first = put_complete(state, folder, immutable=True)
    run = release()
    assert run.passed, run.log
    assert found(run) == first


@pytest.mark.slow
def test_notes_that_cannot_be_changed_are_a_warning(
    release: Release, folder: Path, state: Path
) -> None:
    put_release(state, draft=False, body="What is new.")
    (state / "gh.fail").write_text(json.dumps([[["edit"], 5]]))
    run = release()
    assert run.passed, run.log
    assert "::warning title=pytest-kito::the release of 'v1' has all files" in run.log
    assert found(run)["files"] == read(folder)
    # The next run finds the files complete, and adds what the notes lack.
    run = release()
    assert run.passed, run.log
    assert "| the table |" in found(run)["body"]


# ---- formats whose bytes differ from run to run -----------------------------------------------

BOTH = ("keras", "saved_model")


def test_files_of_the_same_commit_that_differ_by_their_format_are_complete(
    release: Release, folder: Path, state: Path
) -> None:
    first = put_complete(state, make(folder, formats=BOTH))
    make(folder, formats=BOTH, varying="again")
    run = release()
    assert run.passed, run.log
    assert "is complete, with proved files of the same commit" in run.log
    assert found(run) == first
    assert set(verbs(run)) == {"api", "view", "download"}


@pytest.mark.parametrize("lacking", ["SHA256SUMS", pytest.param("b.keras", marks=pytest.mark.slow)])
def test_files_that_differ_by_their_format_are_an_error_on_an_incomplete_release(
    release: Release, folder: Path, state: Path, lacking: str
) -> None:
    make(folder, formats=BOTH)
    put_release(state, draft=False, files=read(folder))
    (state / "releases" / "v1" / lacking).unlink()
    make(folder, formats=BOTH, varying="again")
    run = release()
    assert not run.passed
    assert "the bytes of this format differ from run to run" in run.log
    assert "run again only the job that publishes" in run.log
    assert "upload" not in verbs(run)


@pytest.mark.slow
def test_a_reproducible_file_of_other_bytes_is_an_error_though_the_commit_is_the_same(
    release: Release, folder: Path, state: Path
) -> None:
    make(folder, formats=BOTH)
    put_release(state, draft=False, files=read(folder))
    make(folder, "again", formats=BOTH)
    run = release()
    assert not run.passed
    assert "its file 'a.keras' has other bytes than that of this run; use another tag" in run.log


@pytest.mark.slow
def test_a_draft_takes_the_bytes_of_the_latest_run(
    release: Release, folder: Path, state: Path
) -> None:
    make(folder, formats=BOTH)
    put_release(state, draft=True, files=read(folder))
    make(folder, formats=BOTH, varying="again")
    run = release()
    assert run.passed, run.log
    assert found(run)["files"] == read(folder)
