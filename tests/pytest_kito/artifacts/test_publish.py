"""Which artifacts of a session are published, and how those of an earlier session change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, SUMS, verify
from pytest_kito.artifacts.publish import publish
from pytest_kito.checks.declared import DeclaredModel
from pytest_kito.reports.results import Finding, Results


def session(
    folder: Path, outcomes: dict[str, str], file: str = "keras", first: str = "equivalence"
) -> tuple[str, ...]:
    """Publish after a session in which each model's first check had the outcome, or did not run."""
    published = publish(staged(folder, outcomes, file, first), folder)
    assert published.faults == ()
    return published.withheld


def staged(
    folder: Path, outcomes: dict[str, str], file: str = "keras", first: str = "equivalence"
) -> Results:
    """The results of such a session, each model with a file that waits to be published."""
    checks = (first, "artifact[keras]")
    results = Results(DeclaredModel(name, checks=checks) for name in outcomes)
    for name, outcome in outcomes.items():
        content = f"{name} {outcome}".encode()
        path = folder / f".staged-{name}"
        path.write_bytes(content)
        data = {
            "format": "keras",
            "file": f"{name}.{file}",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "max_abs": 0.0,
        }
        if outcome != "not run":
            results.add(asdict(Finding(name, first, outcome)))
        results.add(asdict(Finding(name, "artifact[keras]", data=data, staged=str(path))))
    return results


@pytest.mark.parametrize("other", [{}, {"b": "passed"}])
def test_a_model_that_fails_later_is_no_longer_proved(
    tmp_path: Path, other: dict[str, str]
) -> None:
    assert session(tmp_path, {"a": "passed", **other}) == ()
    assert verify(tmp_path) == []
    withheld = session(tmp_path, {"a": "failed", **other})
    assert withheld == ("a.keras is not published: equivalence failed",)
    assert "a.keras: is not listed in the manifest" in verify(tmp_path)


def test_a_model_that_is_not_checked_again_stays_proved(tmp_path: Path) -> None:
    session(tmp_path, {"a": "passed"})
    session(tmp_path, {"b": "passed"})
    assert verify(tmp_path) == []


def test_nothing_passed_leaves_no_manifest(tmp_path: Path) -> None:
    session(tmp_path, {"a": "failed"})
    assert not (tmp_path / MANIFEST).exists()
    with pytest.raises(KitoError, match="there is no"):
        verify(tmp_path)


def test_a_check_that_was_not_made_keeps_the_model_from_being_published(tmp_path: Path) -> None:
    withheld = session(tmp_path, {"a": "not run", "b": "passed", "c": "skipped"})
    assert withheld == ("a.keras is not published: equivalence was not run",)
    assert {path.name for path in tmp_path.glob("*.keras")} == {"b.keras", "c.keras"}
    assert verify(tmp_path) == []


def test_a_metric_that_was_skipped_keeps_the_model_from_being_published(tmp_path: Path) -> None:
    withheld = session(tmp_path, {"a": "skipped", "b": "passed"}, first="metric[iou-keras]")
    assert withheld == ("a.keras is not published: metric[iou-keras] was skipped",)
    assert {path.name for path in tmp_path.glob("*.keras")} == {"b.keras"}


def test_what_was_published_stays_where_a_later_session_is_not_whole(tmp_path: Path) -> None:
    session(tmp_path, {"a": "passed"})
    before = (tmp_path / "a.keras").read_bytes()
    assert session(tmp_path, {"a": "not run"})
    assert (tmp_path / "a.keras").read_bytes() == before
    assert verify(tmp_path) == []


def test_a_file_that_is_no_longer_made_is_no_longer_proved(tmp_path: Path) -> None:
    session(tmp_path, {"a": "passed"}, file="tflite")
    session(tmp_path, {"a": "passed"}, file="keras")
    assert verify(tmp_path) == ["a.tflite: is not listed in the manifest"]


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def link_hard(path: Path) -> None:
    os.link(path, path.with_name("elsewhere"))


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "tamper, why",
    [
        (change, "it was changed after it was proved"),
        (grow, "it was changed after it was proved"),
        (link, "a link took its place after it was proved"),
        (link_hard, "it has a second name, under which it can be changed after it was proved"),
        (make_directory, "something that is no file took its place after it was proved"),
        (Path.unlink, "it cannot be read any more (No such file or directory)"),
    ],
)
def test_a_file_that_changed_after_its_proof_is_not_published(
    tmp_path: Path, tamper: Callable[[Path], None], why: str
) -> None:
    session(tmp_path, {"a": "passed", "b": "passed"})
    results = staged(tmp_path, {"a": "passed", "b": "passed"})
    tamper(tmp_path / ".staged-a")
    published = publish(results, tmp_path)
    assert published.withheld == ()
    assert published.faults == (
        f"nothing of model 'a' is published: a.keras: {why}; find out what writes below "
        f"{tmp_path} and run again",
    )
    assert not results.passed
    [failed] = results.models[0].failed
    assert (failed.check, failed.message) == ("artifact[keras]", f"a.keras: {why}")
    assert verify(tmp_path) == ["a.keras: is not listed in the manifest"]
    assert (tmp_path / "a.keras").read_bytes() == b"a passed"


def test_no_file_of_a_model_is_published_if_one_has_changed(tmp_path: Path) -> None:
    results = staged(tmp_path, {"a": "passed", "b": "passed"})
    more = tmp_path / ".staged-more"
    more.write_bytes(b"a passed")
    data = {**results.models[0].of("artifact")[0].data, "format": "litert", "file": "a.tflite"}
    results.add(asdict(Finding("a", "artifact[litert]", data=data, staged=str(more))))
    change(more)
    published = publish(results, tmp_path)
    assert published.withheld == ("a.keras is not published: artifact[litert] failed",)
    assert len(published.faults) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"b.keras", MANIFEST, SUMS}
    assert verify(tmp_path) == []


def test_a_file_that_cannot_get_its_place_leaves_all_as_it_was(tmp_path: Path) -> None:
    session(tmp_path, {"a": "passed", "b": "passed", "c": "failed"})
    before = content(tmp_path)
    (tmp_path / "z.keras").mkdir()
    results = staged(tmp_path, {"a": "skipped", "b": "failed", "z": "passed"})
    with pytest.raises(IsADirectoryError, match=r"a directory has the name of a file: .*z\.keras"):
        publish(results, tmp_path)
    (tmp_path / "z.keras").rmdir()
    (tmp_path / ".staged-b").unlink()
    assert content(tmp_path) == before


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
