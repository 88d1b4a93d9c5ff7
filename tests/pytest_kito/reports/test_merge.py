"""Merging the reports and the artifact folders of shards."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, SUMS, verify
from kito.export.publishing import merge_folders, update_manifest
from pytest_kito.reports.merge import merge_reports


def report(path: Path, lines: dict[str, int], **more: Any) -> Path:
    """A report of models, by name the line of their declaration."""
    content = {
        "schema_version": 1,
        "created": "2020-01-01T00:00:00+00:00",
        "environment": {"device_name": "a"},
        "passed": bool(lines),
        "interrupted": False,
        "seconds": {"total": 2.5, "own": 0.5},
        "models": [{"name": name, "line": line} for name, line in lines.items()],
        **more,
    }
    path.write_text(json.dumps(content))
    return path


def test_models_are_in_the_order_of_kito_yaml_whatever_the_order_of_reports(tmp_path: Path) -> None:
    paths = [
        report(tmp_path / "1.json", {"b": 4, "e": 16}, created="2020-01-01T00:00:02+00:00"),
        report(tmp_path / "2.json", {"a": 3, "c": 9}),
        report(tmp_path / "3.json", {"d": 12}, environment={"device_name": "b"}),
        report(tmp_path / "4.json", {}, environment=None),
    ]
    merged = [merge_reports(order) for order in itertools.permutations(paths)]
    assert all(other == merged[0] for other in merged)
    assert [model["name"] for model in merged[0]["models"]] == ["a", "b", "c", "d", "e"]
    assert merged[0]["passed"] is True
    assert merged[0]["created"] == "2020-01-01T00:00:02+00:00"
    assert merged[0]["seconds"] == {"total": 10.0, "own": 2.0}
    assert merged[0]["environments"] == [
        {"device_name": "a"},
        {"device_name": "a"},
        {"device_name": "b"},
    ]


def test_a_shard_without_models_does_not_count(tmp_path: Path) -> None:
    whole = report(tmp_path / "1.json", {"a": 3})
    empty = report(tmp_path / "2.json", {}, environment=None)
    merged = merge_reports([empty, whole])
    assert merged["passed"] is True
    assert "environments" not in merged
    assert merge_reports([empty])["passed"] is False
    cut_short = report(tmp_path / "2.json", {}, environment=None, interrupted=True)
    assert merge_reports([whole, cut_short])["passed"] is False
    assert merge_reports([whole, cut_short])["interrupted"] is True


def test_a_model_that_was_not_checked_is_missing(tmp_path: Path) -> None:
    def checked(name: str, *outcomes: str) -> dict[str, Any]:
        return {"name": name, "line": 3, "checks": [{"outcome": x} for x in outcomes]}

    models = [checked("a", "passed"), checked("b", "failed", "skipped"), checked("c", "skipped")]
    whole = report(tmp_path / "1.json", {}, models=[*models, checked("d")], passed=True)
    assert merge_reports([whole], ["a", "b"])["passed"] is True
    assert "missing" not in merge_reports([whole], ["a", "b"])
    merged = merge_reports([whole], ["e", "d", "c", "b", "a"])
    assert merged["passed"] is False
    assert merged["missing"] == ["e", "d", "c"]
    # Merged again, it stays missing until a report has it.
    (tmp_path / "2.json").write_text(json.dumps(merged))
    assert merge_reports([tmp_path / "2.json"])["missing"] == ["e", "d", "c"]
    later = report(tmp_path / "3.json", {}, models=[checked("e", "passed")], passed=True)
    again = merge_reports([tmp_path / "2.json", later])
    assert again["missing"] == ["d", "c"]
    assert again["passed"] is False


def test_a_whole_merge_misses_models_with_a_check_that_was_not_run(tmp_path: Path) -> None:
    checks = [{"outcome": "passed"}]
    models = [
        {"name": "a", "checks": checks, "not_run": []},
        {"name": "b", "checks": checks, "not_run": ["speedup[1]"]},
    ]
    path = report(tmp_path / "1.json", {}, models=models, passed=True)
    assert merge_reports([path], ["a", "b"])["passed"] is True
    merged = merge_reports([path], ["a", "b"], whole=True)
    assert merged["passed"] is False
    assert merged["missing"] == ["b"]
    path.write_text(json.dumps(merged))
    assert merge_reports([path])["missing"] == ["b"]


@pytest.mark.parametrize("seconds", [{"build": "1"}, {"build": -1}, {"build": float("nan")}, [1]])
def test_invalid_seconds_are_refused(tmp_path: Path, seconds: Any) -> None:
    path = report(tmp_path / "1.json", {"a": 3}, seconds=seconds)
    with pytest.raises(KitoError, match=r"1\.json is not a report"):
        merge_reports([path])


def artifacts(folder: Path, **files: str) -> Path:
    """A folder of artifacts with these contents, by model."""
    folder.mkdir()
    entries = []
    for model, content in files.items():
        (folder / f"{model}.keras").write_text(content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        entry = {"model": model, "format": "keras", "file": f"{model}.keras"}
        entries.append({**entry, "bytes": len(content), "sha256": digest, "versions": {}})
    update_manifest(folder, entries)
    return folder


def test_folders_become_one(tmp_path: Path) -> None:
    one = artifacts(tmp_path / "one", a="A", b="B")
    two = artifacts(tmp_path / "two", b="B", c="C")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert merge_folders([two, empty, one], tmp_path / "all") == ["a.keras", "b.keras", "c.keras"]
    assert verify(tmp_path / "all") == []
    assert (tmp_path / "all" / "c.keras").read_text() == "C"
    entries = json.loads((tmp_path / "all" / MANIFEST).read_text())["files"]
    assert entries[0] == json.loads((one / MANIFEST).read_text())["files"][0]
    with pytest.raises(KitoError, match=f"holds a {MANIFEST} already"):
        merge_folders([one], tmp_path / "all")


def test_folders_that_cannot_be_merged_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    one = artifacts(tmp_path / "one", a="A", b="B")
    other = artifacts(tmp_path / "other", b="other")
    tampered = artifacts(tmp_path / "tampered", c="C")
    (tampered / "c.keras").write_text("D")
    unlisted = artifacts(tmp_path / "unlisted", d="D")
    (unlisted / MANIFEST).unlink()
    (unlisted / SUMS).unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    for folders, message in [
        ([one, other], r"b\.keras in .*one and b\.keras in .*other are different files"),
        ([one, tampered], "tampered is not as it was proved: .*SHA-256 differs"),
        ([one, unlisted], f"there is no {MANIFEST}"),
        ([one, tmp_path / "nowhere"], "there is no folder"),
        ([empty], "none of the folders"),
    ]:
        with pytest.raises(KitoError, match=message):
            merge_folders(folders, tmp_path / "all")
    assert not (tmp_path / "all").exists()
