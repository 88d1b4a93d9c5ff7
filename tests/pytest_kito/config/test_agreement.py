"""What the keys of one model ask of each other: the framework, its source and its artifacts."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from kito.export.formats import names
from pytest_kito.config.load import Config, ConfigError, load_config


def load(folder: Path, text: str, *, formats: bool = False) -> Config:
    path = folder / "kito.yaml"
    path.write_text(f"version: 1\n{text}")
    return load_config(path, root=folder, formats=formats)


def problems(folder: Path, text: str, *, formats: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, formats=formats)
    return list(caught.value.errors)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages of formats that seem to be installed."""
    packages: set[str] = set()

    def find(name: str) -> Any:
        return ModuleSpec(name, None, origin="a file") if name in packages else None

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(names, "chosen_backend", lambda: "tensorflow")
    return packages


def test_the_framework_decides_the_artifact_that_is_written_by_default(tmp_path: Path) -> None:
    text = "models:\n  k: {source: a.b}\n  t: {source: a.b, framework: torch}\n"
    assert [x.artifacts for x in load(tmp_path, text).models] == [("keras",), ("torch",)]
    text = f"defaults: {{framework: torch, artifacts: [onnx]}}\n{text}"
    assert [x.artifacts for x in load(tmp_path, text).models] == [("onnx",), ("onnx",)]
    assert [x.framework for x in load(tmp_path, text).models] == ["torch", "torch"]


def test_a_format_that_cannot_hold_the_framework(tmp_path: Path, installed: set[str]) -> None:
    installed |= {"torch", "onnx", "onnxruntime", "onnxscript", "tf2onnx", "ai_edge_litert"}
    text = """
models:
  module:
    source: a.b
    framework: torch
    artifacts: [torch, onnx, litert]
  network:
    source: a.b
    artifacts: [keras, onnx, torch]
"""
    assert problems(tmp_path, text, formats=True) == [
        "kito.yaml:7: models.module.artifacts[2]: 'litert' cannot hold a PyTorch module, which "
        "onnx, openvino, torch can; leave it out",
        "kito.yaml:10: models.network.artifacts[2]: 'torch' cannot hold a Keras model, which "
        "keras, saved_model, onnx, openvino, litert can; leave it out",
    ]
    assert load(tmp_path, text).models  # where nothing is written


def test_packages_that_one_framework_needs(tmp_path: Path, installed: set[str]) -> None:
    installed |= {"torch", "onnx", "onnxruntime", "tf2onnx"}
    text = """
models:
  network: {source: a.b, artifacts: [onnx]}
  module: {source: a.b, framework: torch, artifacts: [onnx]}
"""
    needs = "needs packages that are not installed; install them with: pip install"
    assert problems(tmp_path, text, formats=True) == [
        f"kito.yaml:5: models.module.artifacts[0]: 'onnx' {needs} 'pytest-kito[torch,onnx]'"
    ]
    installed.discard("torch")
    text = "models:\n  module: {source: a.b, framework: torch}\n"
    assert problems(tmp_path, text, formats=True) == [
        f"kito.yaml:3: models.module.artifacts[0]: 'torch' {needs} 'pytest-kito[torch]'"
    ]


def test_keys_of_keras(tmp_path: Path) -> None:
    (tmp_path / "net.keras").touch()
    text = """
models:
  module:
    source: net.keras
    framework: torch
    custom_objects: a.b
    reduction: {strict: true}
"""
    found = problems(tmp_path, text)
    assert [x.partition(": ")[2].partition(":")[0] for x in found] == [
        "models.module.source",
        "models.module.custom_objects",
        "models.module.reduction.strict",
    ]
    assert "is a file of Keras; allowed with framework: torch: package.module:callable" in found[0]


def test_an_unknown_framework(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "models:\n  m: {source: a.b, framework: jax}\n")
    assert problem.startswith("kito.yaml:3: models.m.framework: ")
    assert "'keras' or 'torch'" in problem
