"""The text of a first workflow for GitHub Actions, and of a first test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kito.runtime.bounded import read_file

WORKFLOW = Path(".github/workflows/kito.yml")
TEST = Path("tests/test_kito.py")

# The pins are those of action/README.md; a test compares them.
_WORKFLOW = """\
# Checks the models of kito.yaml, and publishes what was proved on the release of a tag v*.
# Before the first run, replace OWNER/pytest-kito by the repository of pytest-kito, and COMMIT by
# the full SHA of its commit that you trust. Its action/README.md describes every input.
name: models
on:
  pull_request:
  push:
    branches: [main, master]
    tags: ["v*"]

permissions: {}

concurrency:
  group: models-${{ github.ref }}
  cancel-in-progress: ${{ !startsWith(github.ref, 'refs/tags/') }}

jobs:
  gate:
    runs-on: ubuntu-latest
    timeout-minutes: 120
    permissions:
      contents: read # the models' code runs here, with a token that may only read
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          persist-credentials: false
@LFS@
      - uses: OWNER/pytest-kito/action@COMMIT
        with:
          device: cpu
          # What is published comes from no cache.
          cache: ${{ startsWith(github.ref, 'refs/tags/') && 'false' || 'true' }}
@REQUIREMENTS@
@TESTS@

  publish:
    if: startsWith(github.ref, 'refs/tags/')
    needs: gate
    runs-on: ubuntu-latest
    timeout-minutes: 30
    permissions:
      contents: write # the release
      id-token: write # to sign
      attestations: write # to keep the signature
    steps:
      # It runs no code of the models, and has no checkout.
      - uses: OWNER/pytest-kito/action/publish@COMMIT
        with:
          attest: "true"
"""
_LINES = {
    "@LFS@": "          {}lfs: true # where the model files are kept by Git LFS",
    "@REQUIREMENTS@": "          {}requirements: requirements.txt",
    "@TESTS@": "          {}pytest-args: tests/test_kito.py # runs these tests, too",
}
_MOST_BYTES = 1_000_000

_TEST_HEAD = '"""Tests of the reduced models. Each runs once for every model of kito.yaml."""\n'
_KERAS_TEST = """

def shapes(tensors):
    return [tuple(tensor.shape) for tensor in tensors]


@MARK@
def test_the_reduced_model_takes_and_gives_what_the_original_does(kito_original, kito_reduced):
    assert shapes(kito_reduced.inputs) == shapes(kito_original.inputs)
    assert shapes(kito_reduced.outputs) == shapes(kito_original.outputs)
"""
_TORCH_TEST = """

def arguments(module):
    return list(inspect.signature(module.forward).parameters)


@MARK@
def test_the_reduced_module_takes_what_the_original_does(kito_original, kito_reduced):
    assert not any(module.training for module in kito_reduced.modules())
    taken = arguments(kito_reduced)  # those with defaults may be left out
    assert taken and taken == arguments(kito_original)[: len(taken)]
"""
_MORE = """

# What matters for your task is the better test, on data of your own:
#
"""
_MORE_KERAS = """\
# import numpy as np
# import pytest
#
#
# @pytest.mark.kito_model("NAME")    # without the marker: every model
# def test_no_prediction_changes(kito_original, kito_reduced):
#     images = np.load("data/validation.npz")["image"]
#     before, after = (model.predict(images) for model in (kito_original, kito_reduced))
#     assert (before.argmax(-1) == after.argmax(-1)).all()
"""
_MORE_TORCH = """\
# import pytest
# import torch
#
#
# @pytest.mark.kito_model("NAME")    # without the marker: every model
# def test_no_prediction_changes(kito_original, kito_reduced):
#     images = torch.load("data/validation.pt")
#     with torch.inference_mode():
#         before, after = (module(images) for module in (kito_original, kito_reduced))
#     assert torch.equal(before.argmax(-1), after.argmax(-1))
"""


def test_text(models: Sequence[str], modules: Sequence[str]) -> str:
    """The first tests of a repository.

    Args:
        models: the names of the models that kito.yaml declares; empty if unknown.
        modules: those of them that are PyTorch modules.
    """
    keras = [name for name in models if name not in modules]
    mixed = bool(keras and modules)
    text = _TEST_HEAD
    if modules:
        text += "\nimport inspect\n" + ("\nimport pytest\n" if mixed else "")
    if keras or not modules:
        text += _KERAS_TEST.replace("@MARK@\n", _mark(keras) if mixed else "")
    if modules:
        text += _TORCH_TEST.replace("@MARK@\n", _mark(modules) if mixed else "")
    return text + _MORE + (_MORE_KERAS if keras or not modules else _MORE_TORCH)


def _mark(names: Sequence[str]) -> str:
    return f"@pytest.mark.kito_model({', '.join(map(repr, names))})\n"


def workflow(directory: Path, with_test: bool) -> str:
    """The workflow of a repository: a job that checks, and one that publishes on a tag.

    Args:
        directory: the repository; what it needs of the workflow is looked up there.
        with_test: whether the tests of :func:`test_text` are to be run, too.
    """
    used = {
        "@LFS@": _uses_lfs(directory),
        "@REQUIREMENTS@": (directory / "requirements.txt").is_file(),
        "@TESTS@": with_test,
    }
    text = _WORKFLOW
    for mark, line in _LINES.items():
        text = text.replace(mark, line.format("" if used[mark] else "# "))
    return text


def _uses_lfs(directory: Path) -> bool:
    try:
        return b"filter=lfs" in read_file(directory / ".gitattributes", _MOST_BYTES)
    except (OSError, ValueError):
        return False
