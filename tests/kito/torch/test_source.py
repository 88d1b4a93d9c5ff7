"""Modules from kito.yaml's sources, and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kito.errors import KitoError
from kito.graph.torch.record import run_inputs
from kito.runtime.torch_source import apply_module_weights, load_module


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    text = """
        import torch
        def net(width=4):
            return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.BatchNorm2d(width))
        made = net()
        def nothing():
            net()
        def number():
            return 3
        def broken():
            raise ValueError("no weights")
    """
    lines = [line[8:] for line in text.splitlines()]
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    return name


def test_a_function_builds_it(source: str, tmp_path: Path) -> None:
    module = load_module(f"{source}:net", base=tmp_path, kwargs={"width": 6})
    assert module[0].out_channels == 6


@pytest.mark.parametrize(
    "name, message",
    [
        ("nothing", "gave None, not a torch.nn.Module; does the function end with 'return"),
        ("number", "gave an object of type int, not a torch.nn.Module"),
        ("made", "is an object of type Sequential, not a callable that returns a model"),
        ("broken", "raised ValueError: no weights"),
    ],
)
def test_what_is_no_source(source: str, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(KitoError, match=message):
        load_module(f"{source}:{name}", base=tmp_path)


def test_the_file_of_a_state_dict(tmp_path: Path) -> None:
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save(other.state_dict(), tmp_path / "weights.pt")
    apply_module_weights(module, "weights.pt", base=tmp_path, inputs={}, seed=0)
    assert torch.equal(module.weight, other.weight)
    torch.save(nn.Linear(4, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(KitoError, match=r"cannot be loaded into Linear: .*size mismatch"):
        apply_module_weights(module, "weights.pt", base=tmp_path, inputs={}, seed=0)


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_file_that_runs_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({**nn.Linear(3, 2).state_dict(), "more": Runs(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(KitoError, match=r"'w\.pt' cannot be loaded into Linear"):
        apply_module_weights(nn.Linear(3, 2), "w.pt", base=tmp_path, inputs={}, seed=0)
    assert not (tmp_path / "ran").exists()


def test_random_weights_are_calibrated_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Dropout(), nn.ReLU(), nn.Conv2d(16, 8, 3)
        )

    x = np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype("float32")
    modules = [build() for _ in range(3)]
    for module, seed in zip(modules, (0, 0, 1), strict=True):
        apply_module_weights(module, "random", base=tmp_path, inputs={"input": x}, seed=seed)
    one, same, other = (m.state_dict() for m in modules)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["0.weight"], other["0.weight"])
    norm: Any = modules[0][1]
    assert (norm.weight < 0).sum() == 2
    assert modules[0].training  # as it was built
    with torch.no_grad():
        inner = run_inputs(modules[0][0], (torch.from_numpy(x),))
    torch.testing.assert_close(norm.running_mean, inner.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, inner.var((0, 2, 3)))
