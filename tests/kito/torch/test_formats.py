"""Artifacts of PyTorch modules: written, loaded by their engines, and compared."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_modules import random_inputs, randomized

import kito
from kito.errors import KitoError
from kito.export.artifact import ArtifactDiffersError, write_artifact
from kito.export.formats.names import FORMAT_NAMES
from kito.export.proof import Baseline, prove
from kito.runtime.inputs import resolve_inputs
from kito.runtime.torch_pair import named_arrays, wrap_module

FORMATS = [name for name, info in FORMAT_NAMES.items() if info.torch_modules is not None]


class Two(nn.Module):
    """Takes an image and tokens, and returns a dict whose keys are in no order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.table = nn.Embedding(10, 4)

    def forward(self, image: Any, tokens: Any) -> dict[str, Any]:
        x = torch.relu(self.norm(self.conv(image)))
        return {"zoom": x.mean((2, 3)) + self.table(tokens).sum(1), "area": x.amax((2, 3))}


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> str:
    """A format that holds modules, where what runs it is installed."""
    modules = FORMAT_NAMES[request.param].torch_modules
    if not all(map(importlib.util.find_spec, modules)):
        pytest.skip(f"needs {', '.join(modules)}")
    return str(request.param)


def both(module: nn.Module, *inputs: Any) -> tuple[Any, Baseline]:
    """The reduced module as a model, and what to compare it with."""
    original = wrap_module(module, named_arrays(module, list(inputs)), "net")
    reduced = kito.reduce_torch_module(module, inputs)
    arrays = resolve_inputs(original, list(inputs) if len(inputs) > 1 else inputs[0])
    return wrap_module(reduced, original.examples, "net"), Baseline(original, arrays)


def two() -> tuple[Any, Baseline]:
    torch.manual_seed(0)
    (image,) = random_inputs((6, 3, 8, 8))
    return both(randomized(Two()), image, torch.arange(12).reshape(6, 2) % 10)


def test_a_file_takes_any_batch_and_names_its_inputs_and_outputs(form: str, tmp_path: Path) -> None:
    reduced, baseline = two()
    written = write_artifact(reduced, baseline, tmp_path, "net", form)
    assert written.file == f"net{FORMAT_NAMES[form].suffix}"
    assert 0 < written.max_abs < 1e-4
    assert [x.name for x in tmp_path.iterdir()] == [written.file]
    # prove() runs batches of 1, of 3 and of 6
    proof = prove(tmp_path / written.file, form, baseline)
    assert proof.comparison.passed
    assert set(proof.comparison.outputs) == {"output", "output_1"}


def test_a_file_of_another_module_is_not_written(form: str, tmp_path: Path) -> None:
    reduced, baseline = two()
    with torch.no_grad():
        reduced.frozen.conv.weight.mul_(1.01)
    with pytest.raises(ArtifactDiffersError, match=r"'net\..*differs"):
        write_artifact(reduced, baseline, tmp_path, "net", form)
    assert not list(tmp_path.iterdir())


def test_a_module_that_branches_on_data_is_refused(form: str, tmp_path: Path) -> None:
    class Branches(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if float(x.sum()) > 0 else -x

    module, x = Branches(), np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    model = wrap_module(module, {"x": x}, "net")
    with pytest.raises(KitoError, match=f"'net' cannot be written as {form}: .*Leave '{form}' out"):
        write_artifact(model, Baseline(model, {"x": x}), tmp_path, "net", form)
    assert not list(tmp_path.iterdir())


def test_the_bytes_depend_on_the_module_only(form: str, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        reduced, baseline = two()
        file = write_artifact(reduced, baseline, folder, "net", form).file
        data = (folder / file).read_bytes()
        assert str(Path(__file__).parent).encode() not in data
        assert (
            form == "torch" or b"pkg.torch" not in data
        )  # where the exporter found each operation
        digests.add(hashlib.sha256(data).hexdigest())
    assert (len(digests) == 1) == FORMAT_NAMES[form].deterministic


def test_half_precision_stays_half_precision(tmp_path: Path) -> None:
    module = randomized(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))).bfloat16()
    (x,) = random_inputs((4, 3, 8, 8))
    x *= torch.tensor([1.0, 20.0, -100.0, 100.0]).reshape(4, 1, 1, 1)
    reduced, baseline = both(module, x.bfloat16())
    written = write_artifact(reduced, baseline, tmp_path, "net", "torch")
    assert written.precision == "bf16"
    assert written.bytes > 0


def test_formats_of_keras_hold_no_module(tmp_path: Path) -> None:
    reduced, baseline = two()
    with pytest.raises(KitoError, match="'litert' cannot hold a PyTorch module, which onnx, openv"):
        write_artifact(reduced, baseline, tmp_path, "net", "litert")
