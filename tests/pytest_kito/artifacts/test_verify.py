"""``kito verify --run``: the files of a manifest, run again and compared with their originals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kito.errors import KitoError
from kito.export.manifest import MANIFEST
from kito.export.publishing import update_manifest
from pytest_kito.artifacts.verify import verify_by_running

pytestmark = pytest.mark.backends("tensorflow")  # it writes ONNX

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


def test_unchanged_artifacts_pass_again(proved: Path) -> None:
    before = {path: path.read_bytes() for path in (proved / "out").iterdir()}
    assert verify_by_running(proved / "out", proved / "kito.yaml") == []
    assert {path: path.read_bytes() for path in (proved / "out").iterdir()} == before


def test_a_tampered_file_is_reported_and_not_opened(proved: Path) -> None:
    path = proved / "out" / "wide.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verify_by_running(proved / "out", proved / "kito.yaml") == [
        "wide.onnx: is not what was proved, its SHA-256 differs"
    ]


def test_a_wrong_file_with_a_matching_manifest_is_detected(proved: Path) -> None:
    out = proved / "out"
    files = json.loads((out / MANIFEST).read_text())["files"]
    (out / "small.onnx").write_bytes((out / "wide.onnx").read_bytes())
    [wide] = [x for x in files if x["file"] == "wide.onnx"]
    update_manifest(out, [{**wide, "model": "small", "file": "small.onnx"}])
    # The original now declared is not the one that was reduced.
    config = (proved / "kito.yaml").read_text().replace("width: 6", "width: 5")
    (proved / "kito.yaml").write_text(config)
    problems = verify_by_running(out, proved / "kito.yaml")
    assert [x.partition(": output")[0] for x in problems] == [
        "small.onnx: differs when run again",
        "wide.onnx: differs when run again",
    ]


def test_an_undeclared_model_and_a_broken_one_are_reported(proved: Path) -> None:
    config = "{version: 1, models: {small: {source: 'nets:broken'}}}"
    (proved / "kito.yaml").write_text(config)
    problems = verify_by_running(proved / "out", proved / "kito.yaml")
    assert [x.partition(", because /")[0] for x in problems] == [
        "small.keras: could not be run: source 'nets:broken' raised RuntimeError: "
        "the weights are lost",
        "small.onnx: could not be run: source 'nets:broken' raised RuntimeError: "
        "the weights are lost",
        "wide.onnx: was not run",
    ]
    with pytest.raises(KitoError, match="there is no such file"):
        verify_by_running(proved / "out", proved / "none.yaml")
