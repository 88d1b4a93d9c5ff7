"""The manifest of a folder of artifacts, and what ``verify`` finds wrong with it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import keras
import pytest
from artifact_files import written

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, SUMS, verify
from kito.export.publishing import update_manifest


def test_the_manifest_holds_and_sha256sum_agrees(tmp_path: Path) -> None:
    update_manifest(tmp_path, [written(tmp_path, "one")])
    update_manifest(tmp_path, [written(tmp_path, "two")])
    entries = json.loads((tmp_path / MANIFEST).read_text())["files"]
    assert [entry["file"] for entry in entries] == ["one.keras", "two.keras"]
    assert verify(tmp_path) == []
    command = ["sha256sum", "-c", "--strict", SUMS]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    # A later run replaces what it made again, and forgets what is gone.
    (tmp_path / "one.keras").unlink()
    update_manifest(tmp_path, [written(tmp_path, "two")])
    assert verify(tmp_path) == []
    assert "one.keras" not in (tmp_path / SUMS).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    update_manifest(tmp_path, [written(tmp_path)])
    return tmp_path


def test_verify_sees_what_was_changed(folder: Path) -> None:
    path = folder / "net.keras"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert verify(folder) == ["net.keras: is not what was proved, its SHA-256 differs"]
    path.write_bytes(b"short")
    assert "net.keras: has 5 bytes, " in verify(folder)[0]
    path.unlink()
    assert verify(folder) == ["net.keras: is missing"]


def test_verify_reports_a_file_that_is_not_listed(folder: Path) -> None:
    (folder / "net.onnx").write_text("from elsewhere")
    (folder / "other.keras").write_text("of no model of the manifest")
    (folder / "report.json").write_text("no artifact")
    assert verify(folder) == [
        "net.onnx: is not listed in the manifest",
        "other.keras: is not listed in the manifest",
    ]


def test_verify_sees_a_link_to_elsewhere(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = (folder / "net.keras").rename(tmp_path_factory.mktemp("elsewhere") / "net.keras")
    (folder / "net.keras").symlink_to(elsewhere)
    assert verify(folder) == ["net.keras: is a link, so its content is outside of this directory"]


def test_verify_sees_a_manifest_that_is_elsewhere(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = (folder / MANIFEST).rename(tmp_path_factory.mktemp("elsewhere") / MANIFEST)
    (folder / MANIFEST).symlink_to(elsewhere)
    assert verify(folder) == [f"{MANIFEST}: is a link"]


def test_verify_sees_a_file_of_another_name_than_its_models(folder: Path) -> None:
    (folder / "net.keras").rename(folder / "run.sh")
    for name in (MANIFEST, SUMS):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("net.keras", "run.sh"))
    assert verify(folder) == [
        "run.sh: is not the file name of model 'net' in format 'keras'",
    ]


def test_a_model_that_no_longer_passes_is_withdrawn(folder: Path) -> None:
    update_manifest(folder, [], withdrawn=["net"])
    assert verify(folder) == [
        f"{MANIFEST}: lists no files, so nothing was proved",
        "net.keras: is not listed in the manifest",
    ]


def test_each_file_bears_the_versions_of_its_own_proof(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras, "__version__", "99.0")
    update_manifest(folder, [{**written(folder, "later"), "checks": {"figure": float("inf")}}])
    later, net_ = json.loads((folder / MANIFEST).read_text())["files"]
    assert later["versions"]["keras"] == "99.0"
    assert net_["versions"]["keras"] != "99.0"
    assert later["created"].endswith("+00:00")
    assert later["checks"]["figure"] is None


def test_verify_sees_sums_that_say_something_else(folder: Path) -> None:
    (folder / SUMS).write_text("0" * 64 + "  net.keras\n")
    assert verify(folder) == [f"{SUMS}: does not agree with {MANIFEST}"]
    (folder / SUMS).unlink()
    assert "cannot be read" in verify(folder)[0]


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "the manifest .* is invalid"),
        ("[]", "the manifest .* is invalid"),
        ('{"files": []}', "the manifest .* is invalid"),
        ('{"schema_version": 2, "files": []}', "schema_version is 2, 1 is expected"),
        ('{"schema_version": 1, "files": {}}', "files is not a list"),
        ('{"schema_version": 1, "files": [{"file": "x"}]}', "lacks bytes, format, model, sha256"),
        (
            '{"schema_version": 1, "files": [%s, %s]}'
            % (
                2
                * (
                    '{"file": "m.keras", "model": "m", '
                    '"format": "keras", "bytes": 1, "sha256": ""}',
                )
            ),
            "the manifest .* is invalid: it lists a file twice",
        ),
        (
            '{"schema_version": 1, "files": [{"file": "../x", "model": "m", '
            '"format": "keras", "bytes": 1, "sha256": ""}]}',
            "is not a plain file name",
        ),
        (
            '{"schema_version": 1, "files": [{"file": "..\\\\x.keras", "model": "m", '
            '"format": "keras", "bytes": 1, "sha256": ""}]}',
            "is not a plain file name",
        ),
        (
            '{"schema_version": 1, "files": [{"file": "a\\nb.keras", "model": "m", '
            '"format": "keras", "bytes": 1, "sha256": ""}]}',
            "is not a plain file name",
        ),
        (
            '{"schema_version": 1, "files": [{"file": "m.keras", "model": "m", '
            '"format": "keras", "bytes": true, "sha256": ""}]}',
            "bytes is True, of another type than int",
        ),
    ],
)
def test_a_broken_or_hostile_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(KitoError, match=message):
        verify(tmp_path)


def test_without_a_manifest_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(KitoError, match=r"there is no kito-manifest\.json"):
        verify(tmp_path)
