"""The layout of the code, as far as import-linter does not see it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import kito
import pytest_kito

PACKAGES = [Path(package.__path__[0]) for package in (kito, pytest_kito)]
MODULES = [
    pytest.param(path, id=path.relative_to(package.parent).as_posix())
    for package in PACKAGES
    for path in sorted(package.rglob("*.py"))
]
PRIVATE = re.compile(r"_(nodes|inbound_nodes|outbound_nodes|keras_history|flatten_layers|tracker)$")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_shows_its_layers_and_no_more(package: Path) -> None:
    besides = {"__pycache__", "py.typed"}  # the build puts the marker of pytest_kito there
    most = {"kito": 9, "pytest_kito": 9}[package.name]
    assert len([x for x in package.iterdir() if x.name not in besides]) <= most


@pytest.mark.parametrize("module", MODULES)
def test_a_module_holds_one_idea(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES)
def test_only_the_graph_touches_private_parts_of_keras(module: Path) -> None:
    if module.is_relative_to(PACKAGES[0] / "graph"):
        return
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("keras.src")
        if isinstance(node, ast.Attribute) and not _is_of_self(node):
            assert not PRIVATE.match(node.attr)


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"
