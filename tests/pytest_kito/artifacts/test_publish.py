"""Which artifacts of a session are published, and how those of an earlier session change."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import pytest

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, verify
from pytest_kito.artifacts.publish import publish
from pytest_kito.checks.declared import DeclaredModel
from pytest_kito.reports.results import Finding, Results


def session(
    folder: Path, outcomes: dict[str, str], file: str = "keras", first: str = "equivalence"
) -> list[str]:
    """Publish after a session in which each model's first check had the outcome, or did not run."""
    checks = (first, "artifact[keras]")
    results = Results(DeclaredModel(name, checks=checks) for name in outcomes)
    for name, outcome in outcomes.items():
        content = f"{name} {outcome}".encode()
        staged = folder / f".staged-{name}"
        staged.write_bytes(content)
        data = {
            "format": "keras",
            "file": f"{name}.{file}",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "max_abs": 0.0,
        }
        if outcome != "not run":
            results.add(asdict(Finding(name, first, outcome)))
        results.add(asdict(Finding(name, "artifact[keras]", data=data, staged=str(staged))))
    return publish(results, folder)


@pytest.mark.parametrize("other", [{}, {"b": "passed"}])
def test_a_model_that_fails_later_is_no_longer_proved(
    tmp_path: Path, other: dict[str, str]
) -> None:
    assert session(tmp_path, {"a": "passed", **other}) == []
    assert verify(tmp_path) == []
    withheld = session(tmp_path, {"a": "failed", **other})
    assert withheld == ["a.keras is not published: equivalence failed"]
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
    assert withheld == ["a.keras is not published: equivalence was not run"]
    assert {path.name for path in tmp_path.glob("*.keras")} == {"b.keras", "c.keras"}
    assert verify(tmp_path) == []


def test_a_metric_that_was_skipped_keeps_the_model_from_being_published(tmp_path: Path) -> None:
    withheld = session(tmp_path, {"a": "skipped", "b": "passed"}, first="metric[iou-keras]")
    assert withheld == ["a.keras is not published: metric[iou-keras] was skipped"]
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
