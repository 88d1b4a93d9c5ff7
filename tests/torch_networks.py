"""Networks of torchvision and timm, without weights, with the statistics of training."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn


def build_network(name: str) -> nn.Module:
    """The network ``PACKAGE:NAME``; skips the test where the package is not installed."""
    package, _, kind = name.partition(":")
    for needed in (package, "torchvision"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    _import_torchvision()
    torch.manual_seed(0)
    module: Any = importlib.import_module(package)
    if package == "timm":
        return module.create_model(kind)  # type: ignore[no-any-return]
    return module.models.get_model(kind, weights=None)  # type: ignore[no-any-return]


def calibrate(module: nn.Module, images: torch.Tensor) -> None:
    """Random gammas and betas, and the statistics of ``images``; in eval mode."""
    norms = [x for x in module.modules() if isinstance(x, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(torch.rand_like(norm.weight) + 0.5)
            norm.weight[::5] *= -1
            norm.bias.copy_(torch.randn_like(norm.bias) * 0.3)
            norm.reset_running_stats()
            norm.momentum = None  # the statistics of the one batch
        module.eval()
        for norm in norms:
            norm.train()
        module(images)
    module.eval()


@cache
def _import_torchvision() -> Any:
    """Import torchvision, which timm uses too, beside a build of PyTorch for CPUs.

    The package index has torchvision for CUDA only. Its networks are the same, but its import fails
    where its binary, and so its own operators, cannot be loaded. No network uses these, so it is
    enough to declare them.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [x for x in sys.modules if x.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    found = importlib.util.find_spec("torchvision")
    assert found is not None
    source = Path(str(found.origin)).with_name("_meta_registrations.py")
    names = re.findall(r'"torchvision::(\w+)"', source.read_text(encoding="utf-8"))
    library = torch.library.Library("torchvision", "DEF")
    for name in sorted(set(names)):
        library.define(f"{name}(Tensor x) -> Tensor")
    importlib.import_module("torchvision")
    return library  # the declarations live as long as it does
