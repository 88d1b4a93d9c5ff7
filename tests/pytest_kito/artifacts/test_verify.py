"""``kito verify --run``: the files of a manifest, run again and compared with their originals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kito.errors import KitoError
from kito.export.manifest import MANIFEST, update_manifest
from pytest_kito.artifacts.verify import verify_by_running

Repository = Callable[[str], pytest.Pytester]

CONFIG = """
version: 1
models:
  small: {source: "nets:net", artifacts: [keras, onnx]}
  wide: {source: "nets:net", kwargs: {width: 6}, artifacts: [onnx]}
"""


@pytest.fixture
def proved(repository: Repository) -> Path:
    """A folder whose ``out`` holds proved artifacts."""
    folder = repository(CONFIG)
    folder.runpytest_inprocess("--kito-check", "--kito-artifacts=out").assert_outcomes(passed=7)
    return folder.path


def test_what_was_proved_is_proved_again(proved: Path) -> None:
    before = {path: path.read_bytes() for path in (proved / "out").iterdir()}
    assert verify_by_running(proved / "out", proved / "kito.yaml") == []
    assert {path: path.read_bytes() for path in (proved / "out").iterdir()} == before


def test_a_tampered_file_is_told_and_not_opened(proved: Path) -> None:
    path = proved / "out" / "wide.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verify_by_running(proved / "out", proved / "kito.yaml") == [
        "wide.onnx: is not what was proved, its SHA-256 differs"
    ]


def test_a_file_that_the_manifest_was_made_to_vouch_for_is_found_out(proved: Path) -> None:
    out = proved / "out"
    files = json.loads((out / MANIFEST).read_text())["files"]
    (out / "small.onnx").write_bytes((out / "wide.onnx").read_bytes())
    [wide] = [x for x in files if x["file"] == "wide.onnx"]
    update_manifest(out, [{**wide, "model": "small", "file": "small.onnx"}])
    # Another original: as declared now, the models are others than those that were reduced.
    config = (proved / "kito.yaml").read_text().replace("width: 6", "width: 5")
    (proved / "kito.yaml").write_text(config)
    problems = verify_by_running(out, proved / "kito.yaml")
    assert [x.partition(": output")[0] for x in problems] == [
        "small.onnx: run again, differs",
        "wide.onnx: run again, differs",
    ]


def test_a_model_that_is_not_declared_and_a_broken_one_are_told(proved: Path) -> None:
    config = "{version: 1, models: {small: {source: 'nets:broken'}}}"
    (proved / "kito.yaml").write_text(config)
    problems = verify_by_running(proved / "out", proved / "kito.yaml")
    assert [x.partition(", /")[0] for x in problems] == [
        "small.keras: could not be run: source 'nets:broken' raised RuntimeError: "
        "the weights are lost",
        "small.onnx: could not be run: source 'nets:broken' raised RuntimeError: "
        "the weights are lost",
        "wide.onnx: was not run",
    ]
    with pytest.raises(KitoError, match="there is no such file"):
        verify_by_running(proved / "out", proved / "none.yaml")
