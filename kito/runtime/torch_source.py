"""A PyTorch module from its source, and the weights that it is checked with."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kito.errors import KitoError, describe, shown
from kito.graph.torch_model import TorchModel, is_torch_module
from kito.runtime.batch import Inputs, call_arguments, samples_at_once
from kito.runtime.import_path import is_import_path
from kito.runtime.load import call_source, existing_file
from kito.runtime.random_weights import BETA, BIAS, SAMPLES


def load_module(source: str, *, base: Path, kwargs: Mapping[str, Any] | None = None) -> Any:
    """Build a PyTorch module.

    Args:
        source: the import path of a callable that returns a module.
        base: a directory whose modules can be imported.
        kwargs: keyword arguments for the callable.

    Raises:
        KitoError: PyTorch is not installed, or the source is no such callable.
    """
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise KitoError(
            f"source {source!r} is of PyTorch: pip install 'pytest-kito[torch]'"
        ) from error
    if not is_import_path(source):
        raise KitoError(f"source {source!r} is not package.module:callable")
    found = call_source(source, base, kwargs or {})
    if not is_torch_module(found):
        what = "None" if found is None else f"an object of type {type(found).__name__}"
        raise KitoError(
            f"source {source!r} gave {what}, not a torch.nn.Module; does the function end with "
            "'return module'?"
        )
    return found


def apply_module_weights(
    module: Any, weights: str, *, base: Path, inputs: Inputs, seed: int
) -> None:
    """Give a module, in place, the weights that it is checked with.

    Args:
        module: a module that the caller owns.
        weights: ``as-built`` (nothing is done), ``random`` (seeded, and calibrated on the inputs),
            or the file of a ``state_dict``, as ``torch.save`` writes it.
        base: the directory that a file is relative to.
        inputs: samples in the order of the arguments of ``forward``, shape (samples, ...).
        seed: of random weights.

    Raises:
        KitoError: there is no such file, or it does not fit the module.
    """
    if weights == "as-built":
        return
    if weights == "random":
        _randomize(module, inputs, seed)
        return
    torch = importlib.import_module("torch")
    path = existing_file(weights, base, "weights")
    try:
        # weights_only: a file may come from anywhere, and runs no code.
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise KitoError(
            f"weights {weights!r} cannot be loaded into {type(module).__name__}: "
            f"{shown(describe(error), 400)}; save them with "
            "torch.save(module.state_dict(), file)"
        ) from error


def _randomize(module: Any, inputs: Inputs, seed: int) -> None:
    """As :func:`kito.runtime.random_weights.randomize_weights` does, for a PyTorch module."""
    torch = importlib.import_module("torch")
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for layer in module.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if parameter.is_floating_point():
                    drawn = _drawn(layer, name, tuple(parameter.shape), rng)
                    parameter.copy_(torch.from_numpy(drawn))
    count = samples_at_once(inputs, SAMPLES)
    few = {name: values[:count] for name, values in inputs.items()}
    model = TorchModel(module, few, type(module).__name__)
    for layer in model.frozen.modules():
        if getattr(layer, "running_mean", None) is not None:
            layer.train()
            layer.momentum = 1.0  # the statistics become those of this batch
    model(call_arguments(model, few))
    module.load_state_dict(model.frozen.state_dict())


def _drawn(layer: Any, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random values of one parameter of a layer."""
    kind = type(layer).__name__
    if len(shape) < 2 and "Norm" in kind:
        if name != "weight":
            return rng.normal(*BETA, shape)
        gamma = rng.uniform(0.6, 1.4, shape)
        gamma[::8] *= -1
        return gamma
    if len(shape) < 2:
        return np.asarray(rng.normal(0, BIAS, shape))
    if "Embedding" in kind:
        return rng.normal(0, 1, shape)
    return rng.normal(0, np.sqrt(2 / max(math.prod(shape[1:]), 1)), shape)
