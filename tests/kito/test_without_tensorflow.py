"""Under another backend of Keras, nothing imports TensorFlow, and nothing needs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = "import sys; sys.modules['tensorflow'] = None"
"""An import of it fails then, as where it is not installed."""
NETS = """
import keras

def net():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(4, 3, name="conv")(image))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Dense(2, name="scores")(x), name="net")
"""
CONFIG = """
version: 1
models:
  net:
    source: nets:net
    weights: random
    reduction: {max_batchnorms: 0}
    speedup: {device: cpu, budget_s: 0.3}
    artifacts: [keras]
"""
ARGUMENTS = ("--kito-check", "kito.yaml", "--kito-artifacts", "out", "-p", "no:cacheprovider")


def repository(folder: Path) -> dict[str, str]:
    """Write a model repository; returns the environment of a run in it."""
    (folder / "nets.py").write_text(NETS)
    (folder / "kito.yaml").write_text(CONFIG)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


def run(folder: Path, environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.backends("jax", "torch")
def test_the_gate_and_the_command_line(tmp_path: Path) -> None:
    environment = repository(tmp_path)
    gate = f"{BLOCK}\nimport pytest\nraise SystemExit(pytest.main({[*ARGUMENTS]!r}))"
    assert "4 passed" in run(tmp_path, environment, sys.executable, "-c", gate)
    for arguments in (("explain", "out/net.keras"), ("bench", "out/net.keras", "--budget", "0.3")):
        code = (
            f"{BLOCK}\nsys.argv = ['kito', *{arguments!r}]\n"
            "from pytest_kito.cli.app import main\nmain()"
        )
        run(tmp_path, environment, sys.executable, "-c", code)


@pytest.mark.nightly
def test_an_environment_without_tensorflow(tmp_path: Path) -> None:
    """The package without its requirements, and those but TensorFlow, as docs/backends.md says."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = [x for x in declared if not re.match(r"tensorflow\b", x)]
    environment = {**repository(tmp_path), "KERAS_BACKEND": "jax", "PYTHONPATH": str(tmp_path)}
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(tmp_path, environment, *pip, *needed, "jax")
    run(tmp_path, environment, *pip, "--no-deps", str(ROOT))
    assert "4 passed" in run(tmp_path, environment, python, "-m", "pytest", *ARGUMENTS)
    shown = run(tmp_path, environment, python, "-m", "pip", "list", "--format=freeze")
    assert "tensorflow" not in shown
