"""The JSON report, the artifacts, and what a failure leaves of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import jsonschema
import keras
import pytest

Repository = Callable[[str], pytest.Pytester]


def schema() -> Any:
    return json.loads(files("pytest_kito").joinpath("schemas/report.schema.json").read_text())


def test_the_report_is_valid_and_the_artifacts_are_what_was_tested(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          small:
            source: nets:net
            speedup: {device: cpu, batch_size: 1, budget_s: 0.5}
            artifacts: [keras, onnx]
          far: {source: "nets:net", speedup: {min: 1.1}}
          lost: {source: "nets:broken"}
          strict: {source: "nets:net", tolerance: {rtol: 0.0}}
          slow:
            source: nets:net
            speedup: {min: 1000, device: cpu, batch_size: 1, budget_s: 1}
        """
    )
    result = folder.runpytest_inprocess(
        "--kito-check", "--kito-report=out/report.json", "--kito-artifacts=out"
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    out = folder.path / "out"
    report = json.loads((out / "report.json").read_text())
    jsonschema.validate(report, schema(), format_checker=jsonschema.FormatChecker())
    assert report["passed"] is False
    passed = {model["name"]: model["passed"] for model in report["models"]}
    assert passed == {"small": True, "far": True, "lost": False, "strict": False, "slow": False}

    # What failed a check is not published, and nothing half-written is left.
    names = {path.name for path in out.iterdir()}
    assert names == {
        "report.json",
        "kito-manifest.json",
        "SHA256SUMS",
        "small.keras",
        "small.onnx",
        "far.keras",
    }
    result.stdout.fnmatch_lines(["*slow.keras is not published: speedup[[]1] failed*"])

    sums = dict(
        reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines()
    )
    for model in report["models"]:
        for artifact in model["artifacts"]:
            if model["passed"]:
                digest = hashlib.sha256((out / artifact["file"]).read_bytes()).hexdigest()
                assert digest == artifact["sha256"] == sums[artifact["file"]]
    manifest = json.loads((out / "kito-manifest.json").read_text())
    engines = {entry["file"]: entry["engine"] for entry in manifest["files"]}
    assert engines == {"far.keras": "Keras", "small.keras": "Keras", "small.onnx": "ONNX Runtime"}
    assert {entry["precision"] for entry in manifest["files"]} == {"f32"}
    loaded = keras.models.load_model(out / "small.keras")
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in loaded.layers)


def test_without_a_folder_the_artifact_is_proved_and_thrown_away(repository: Repository) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    before = set(folder.path.iterdir())
    folder.runpytest_inprocess("--kito-check", "-k", "artifact", "-p", "no:cacheprovider")
    after = {path for path in folder.path.iterdir() if path.name != "__pycache__"}
    assert after == before
