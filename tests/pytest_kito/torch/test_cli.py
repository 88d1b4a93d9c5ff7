"""The commands that load models, with ``--framework torch``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from pytest_kito.cli.app import main

NETS = """
import torch
from torch import nn


def net(seed=0):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 4),
    )
    with torch.no_grad():
        module[1].running_mean.normal_()
        module[5].weight.mul_(10)
    return module


def other():
    module = net()
    with torch.no_grad():
        module[5].bias.add_(1)
    return module
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of the functions, and images of all kinds beside it."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    name = f"nets_{abs(hash(tmp_path.name))}"
    (tmp_path / f"{name}.py").write_text(NETS)
    scale = np.linspace(-20, 20, 12, dtype="float32").reshape(12, 1, 1, 1)
    images = np.random.default_rng(0).random((12, 3, 8, 8), "float32") * scale
    np.savez(tmp_path / "images.npz", input=images)
    return name


def run(*args: str, framework: str | None = "torch") -> int:
    """The exit code of a command."""
    sys.argv = ["kito", *args, *(["--framework", framework] if framework else [])]
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def test_explain(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", f"{source}:net", "--data", "images.npz", "--all") == 0
    output = capsys.readouterr().out
    assert "Sequential: reduced in" in output
    assert "fold_affine: 1 rewrite\n  1 -> 0" in output
    assert run("explain", f"{source}:net", "--json") == 0
    assert json.loads(capsys.readouterr().out)["batchnorms"] == [1, 0]
    assert run("explain", f"{source}:net", "--html", "page.html") == 2
    assert "--html draws Keras models only" in capsys.readouterr().err


def test_compare(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    same, other = f"{source}:net", f"{source}:other"
    assert run("compare", same, same, "--data", "images.npz") == 0
    assert "output: differs by at most 0" in capsys.readouterr().out
    assert run("compare", same, other, "--data", "images.npz") == 1
    assert "output 'output' differs by 1" in capsys.readouterr().out


def test_bench(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--data", "images.npz", "--batch-size", "2", "--budget", "1", "--json")
    assert run("bench", f"{source}:net", *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ratio"] > 0
    assert result["batch_size"] == 2


def test_reduce(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    net = f"{source}:net"
    assert run("reduce", net, "-o", "net.pt2", "--data", "images.npz") == 0
    assert "wrote net.pt2" in capsys.readouterr().out
    module = torch.export.load("net.pt2").module()
    assert module(torch.zeros(5, 3, 8, 8)).shape == (5, 4)
    assert run("reduce", net, "-o", "net.keras") == 2
    assert "'keras' cannot hold a PyTorch module" in capsys.readouterr().err
    assert run("reduce", net, "-o", "net.pt2", "--passes", "fold_everything") == 2
    assert "unknown passes ['fold_everything']; there are: " in capsys.readouterr().err


def test_a_module_without_the_option_says_what_to_do(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", f"{source}:net", framework=None) == 2
    assert "a PyTorch module, Sequential" in capsys.readouterr().err


def test_an_unknown_framework(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", f"{source}:net", framework="jax") == 2
    assert "--framework 'jax' is none of keras, torch" in capsys.readouterr().err
