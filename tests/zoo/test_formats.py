"""Whole models in every format, each run by its own engine and proved again."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import keras
import pytest

from kito.export.artifact import write_artifact
from kito.export.formats.names import FORMAT_NAMES, KERAS_FORMATS
from kito.export.manifest import verify
from kito.export.proof import Baseline
from kito.export.publishing import update_manifest
from kito.rewrite.reduce import reduce
from kito.rewrite.reduction import Reduction
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights
from pytest_kito.cli.app import app

# What is first imported while ``pytester`` is in use is forgotten after it, and engines cannot be
# imported twice in one process.
ENGINES = [
    import_module(name)
    for name in ("onnxruntime", "tf2onnx", "openvino", "ai_edge_litert.interpreter")
]

ROOT = Path(__file__).parent.parent.parent
DETERMINISTIC = [name for name in KERAS_FORMATS if FORMAT_NAMES[name].deterministic]


@pytest.mark.slow  # the gate of this repository writes it in four of them
def test_digits_passes_the_gate_in_every_format_and_verifies(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = ROOT / "examples" / "digits"
    config = f"""
    version: 1
    models:
      digits:
        source: {digits / "digits.keras"}
        inputs: {{data: {digits / "test_images.npz"}}}
        artifacts: [{", ".join(KERAS_FORMATS)}]
        metrics:
          accuracy:
            source: keras.metrics.SparseCategoricalAccuracy
            data: {digits / "test.npz"}
            min: 0.97
            max_drop: 0
    """
    (pytester.path / "kito.yaml").write_text(dedent(config))
    # An inner run forgets what it imported, and engines cannot be imported twice.
    result = pytester.runpytest_subprocess("--kito-check", "--kito-artifacts=out")
    result.assert_outcomes(passed=2 + len(KERAS_FORMATS) + 1 + len(KERAS_FORMATS))
    manifest = json.loads((pytester.path / "out" / "kito-manifest.json").read_text())
    [metrics] = {json.dumps(entry["checks"]["metrics"]) for entry in manifest["files"]}
    found = [(x["format"], x["value"] == x["original"] > 0.98) for x in json.loads(metrics)]
    assert found == [(None, True), *((name, True) for name in KERAS_FORMATS)]
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        app(["verify", "out", "--run"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == (
        "every artifact in out is what was proved, and gives the same outputs\n"
    )
    path = pytester.path / "out" / "digits.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(SystemExit) as exit_:
        app(["verify", "out"])
    assert exit_.value.code == 1
    assert "digits.tflite: is not what was proved" in capsys.readouterr().out


@pytest.fixture(scope="module")
def mobilenet() -> Reduction:
    model = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3))
    randomize_weights(model, random_inputs(model, samples=8), seed=0)
    return reduce(model)


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=pytest.mark.slow if x != "onnx" else ()) for x in KERAS_FORMATS]
)
def test_mobilenet_in_every_format(tmp_path: Path, mobilenet: Reduction, name: str) -> None:
    baseline = Baseline(mobilenet.original, random_inputs(mobilenet.original, samples=8))
    written = write_artifact(mobilenet.model, baseline, tmp_path, "mobilenet", name)
    assert written.max_abs < 1e-4
    assert written.precision == "f32"
    update_manifest(tmp_path, [{"model": "mobilenet", **written.to_dict()}])
    assert verify(tmp_path) == []


WRITE = """
import sys
from pathlib import Path

import kito
from kito.export.artifact import write_artifact
from kito.export.proof import Baseline
from kito.runtime.load import load_model
from kito.runtime.random_inputs import random_inputs

digits, out, *formats = sys.argv[1:]
model = load_model(digits, base=Path.cwd())
for name in formats:
    reduced = kito.reduce(model).model
    baseline = Baseline(model, random_inputs(model))
    print(write_artifact(reduced, baseline, Path(out), "digits", name).sha256)
"""


@pytest.mark.nightly
def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    digits = str(ROOT / "examples" / "digits" / "digits.keras")
    runs = []
    for each in ("a", "b"):
        (tmp_path / each).mkdir()
        # In another order, so that what converters count differs.
        names = DETERMINISTIC if each == "a" else DETERMINISTIC[::-1]
        command = [sys.executable, "-c", WRITE, digits, str(tmp_path / each), *names]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    first, second = (run.communicate()[0].split() for run in runs)
    assert len(first) == len(DETERMINISTIC)
    assert first == second[::-1]
