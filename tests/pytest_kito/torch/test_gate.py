"""The gate, its artifacts and fixtures for models with ``framework: torch``."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import kito.rewrite.torch.reduce
import kito.runtime.torch_source  # before an inner run imports it
from pytest_kito.artifacts.verify import verify_by_running

assert kito.rewrite.torch.reduce
assert kito.runtime.torch_source

NETS = '''
import numpy as np
import torch
from torch import nn


def net(width=8):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4),
    )


class Tagger(nn.Module):
    """Takes tokens and a scale, by name."""

    def __init__(self):
        super().__init__()
        self.table, self.dense, self.norm = nn.Embedding(9, 6), nn.Linear(6, 3), nn.BatchNorm1d(3)

    def forward(self, tokens, scale):
        return {"tags": self.norm(self.dense(self.table(tokens).mean(1) * scale))}


def tokens():
    rng = np.random.default_rng(0)
    return {"tokens": rng.integers(0, 9, (8, 5)), "scale": rng.random((8, 1), "float32")}


def images():
    return {"x": np.random.default_rng(1).random((12, 3, 8, 8), "float32")}


def score(predict, data):
    return float(predict(data["x"]).mean())
'''
CONFIG = """
    version: 1
    defaults: {weights: random}
    models:
      net:
        source: nets:net
        framework: torch
        inputs: {shape: {input: [3, 8, 8]}}
        reduction: {min_folded: 1, max_batchnorms: 0}
        speedup: {min: 0.05, device: cpu, batch_size: 2, budget_s: 1}
        metrics: {score: {source: "nets:score", data: "nets:images", max_drop: 0.001}}
"""


@pytest.fixture
def repository(pytester: pytest.Pytester) -> Any:
    """Writes a kito.yaml, and the module ``nets`` beside it."""

    def write(config: str = CONFIG) -> pytest.Pytester:
        pytester.path.joinpath("kito.yaml").write_text(dedent(config))
        pytester.makepyfile(nets=NETS)
        return pytester

    return write


def report(folder: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    # Not in this process: an inner run would import parts of PyTorch again.
    result = folder.runpytest_subprocess("--kito-check", "--kito-report", "report.json", *args)
    (model,) = json.loads(Path(folder.path, "report.json").read_text())["models"]
    return result, model


def test_a_module_passes_every_check(repository: Any, pytester: pytest.Pytester) -> None:
    result, model = report(repository(), "--kito-artifacts", "made")
    result.assert_outcomes(passed=6)  # with artifact[torch], the default, and metric[score-torch]
    assert model["framework"] == "torch"
    assert model["reduction"]["batchnorms"] == [1, 0]
    assert model["reduction"]["layers"] == [7, 5]
    assert model["reduction"]["rewrites"][-1] == {
        "pass_name": "fold_affine",
        "layers": ["1"],
        "into": "0",
    }
    assert model["equivalence"]["samples"] == 32
    assert model["speedup"][0]["ratio"] > 0
    assert [x["format"] for x in model["artifacts"]] == ["torch"]
    assert model["metrics"][1]["value"] == pytest.approx(model["metrics"][0]["original"], abs=1e-4)
    assert verify_by_running(pytester.path / "made", pytester.path / "kito.yaml") == []


@pytest.mark.slow
def test_files_are_timed_in_their_engines(repository: Any) -> None:
    for module in ("onnx", "onnxruntime", "onnxscript", "openvino"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    config = CONFIG.replace("budget_s: 1}", "budget_s: 1, engines: {onnx: {}, openvino: {}}}")
    config = dedent(config) + "    artifacts: [torch, onnx, openvino]\n"
    result, model = report(repository(config))
    result.assert_outcomes(passed=12)
    assert [x["engine"] for x in model["speedup"]] == ["keras", "onnx", "openvino"]
    assert [x["against"] for x in model["speedup"]] == ["keras", "onnx", "openvino"]


def test_inputs_by_name_and_a_reduction_that_is_not_enough(repository: Any) -> None:
    config = """
        version: 1
        models:
          tagger:
            source: nets:Tagger
            framework: torch
            weights: random
            inputs: {data: "nets:tokens"}
            reduction: {min_folded: 2}
            artifacts: []
    """
    result, model = report(repository(config))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*1 BatchNormalization folded, min_folded: 2*"])
    assert model["equivalence"]["passed"]
    assert model["equivalence"]["samples"] == 8


def test_a_state_dict_is_loaded(repository: Any) -> None:
    import torch

    folder = repository(CONFIG.replace("weights: random", "weights: trained.pt"))
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    torch.save(module.state_dict(), folder.path / "trained.pt")
    result, _ = report(folder, "-k", "reduction")
    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["*weights 'trained.pt' cannot be loaded into Sequential*Missing*"])


def test_the_fixtures_give_modules(repository: Any) -> None:
    folder = repository()
    folder.makepyfile(
        """
        import torch

        def test_models(kito_reduced, kito_original, kito_reduction, kito_reduce):
            assert isinstance(kito_reduced, torch.nn.Module)
            assert kito_reduction.model is kito_reduced is kito_reduction.module
            assert kito_reduction.original is kito_original
            assert kito_original.training  # as it was built
            kinds = [type(x) for x in kito_reduced.modules()]
            assert torch.nn.BatchNorm2d not in kinds
            x = torch.rand(4, 3, 8, 8)
            with torch.no_grad():
                torch.testing.assert_close(
                    kito_original.eval()(x), kito_reduced(x), rtol=1e-4, atol=1e-5
                )
            own = kito_reduce(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)),
                              example_inputs=torch.rand(4, 3))
            assert len(list(own.children())) == 1
        """
    )
    folder.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_source_of_the_other_framework_says_so(repository: Any) -> None:
    folder = repository(CONFIG.replace("framework: torch", "framework: keras"))
    result = folder.runpytest_inprocess("--kito-check", "-k", "reduction")
    result.stdout.fnmatch_lines(
        ["*a PyTorch module, Sequential: declare it in kito.yaml with framework: torch*"]
    )
