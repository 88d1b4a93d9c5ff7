"""``examples/model-repo``: gated and tested as it stands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).parent.parent / "examples" / "model-repo"


@pytest.mark.slow
def test_it_passes_its_own_gate_and_tests(tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    command = [sys.executable, "-m", "pytest", "--kito-check", "--kito-artifacts", "made"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "16 passed" in done.stdout
    made = {x.name for x in (copy / "made").iterdir()}
    assert {"classifier.keras", "classifier.onnx", "denoiser.keras"} <= made


@pytest.mark.nightly
def test_its_models_can_be_trained_anew(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="pip install 'pytest-kito[examples]'")
    command = [sys.executable, "train.py", "--output", str(tmp_path)]
    subprocess.run(command, cwd=EXAMPLE, capture_output=True, check=True)
    for folder in ("models", "data"):
        made = {x.name for x in (tmp_path / folder).iterdir()}
        assert made == {x.name for x in (EXAMPLE / folder).iterdir()}


def test_its_workflows_gate_what_its_configuration_needs() -> None:
    models = yaml.safe_load((EXAMPLE / "kito.yaml").read_text())["models"].values()
    formats = {name for model in models for name in model.get("artifacts", ["keras"])} - {"keras"}
    requirements = (EXAMPLE / "requirements.txt").read_text()
    assert f"pytest-kito[{','.join(sorted(formats))}]" in requirements
    for path in (EXAMPLE / ".github" / "workflows").glob("*.yml"):
        gate = yaml.safe_load(path.read_text())["jobs"]["gate"]
        assert gate["permissions"] == {"contents": "read"}
        assert gate["steps"][-1]["with"]["requirements"] == "requirements.txt"
