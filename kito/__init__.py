"""Exact reduction of trained Keras models for inference, and the proofs that come with it.

Importing this package does not import Keras; using one of its names does.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError, UnsupportedModelError
from kito.rewrite.passes.names import DEFAULT_PASSES, PASSES

if TYPE_CHECKING:
    from kito.equivalence.compare import compare
    from kito.equivalence.largest_difference import compare_two_models_results
    from kito.equivalence.result import Comparison
    from kito.rewrite.affine import Affine, Refused
    from kito.rewrite.outcome import Kept, Rewrite
    from kito.rewrite.reduce import reduce, reduce_keras_model
    from kito.rewrite.reduction import Reduction
    from kito.rewrite.torch.reduce import TorchReduction, reduce_torch, reduce_torch_module
    from kito.rewrite.transfer import Change, Site, Transfer, register
    from kito.timing.result import SpeedupEstimate
    from kito.timing.speedup import measure_speedup

_MODULES = {
    "Affine": "rewrite.affine",
    "Change": "rewrite.transfer",
    "Comparison": "equivalence.result",
    "Kept": "rewrite.outcome",
    "Reduction": "rewrite.reduction",
    "Refused": "rewrite.affine",
    "Rewrite": "rewrite.outcome",
    "Site": "rewrite.transfer",
    "SpeedupEstimate": "timing.result",
    "TorchReduction": "rewrite.torch.reduce",
    "Transfer": "rewrite.transfer",
    "compare": "equivalence.compare",
    "compare_two_models_results": "equivalence.largest_difference",
    "measure_speedup": "timing.speedup",
    "reduce": "rewrite.reduce",
    "reduce_keras_model": "rewrite.reduce",
    "reduce_torch": "rewrite.torch.reduce",
    "reduce_torch_module": "rewrite.torch.reduce",
    "register": "rewrite.transfer",
}
"""For each public name, the module below ``kito`` that defines it."""

__all__ = [
    "DEFAULT_PASSES",
    "PASSES",
    "Affine",
    "Change",
    "Comparison",
    "Kept",
    "KitoError",
    "Reduction",
    "Refused",
    "Rewrite",
    "Site",
    "SpeedupEstimate",
    "TorchReduction",
    "Transfer",
    "UnsupportedModelError",
    "compare",
    "compare_two_models_results",
    "measure_speedup",
    "reduce",
    "reduce_keras_model",
    "reduce_torch",
    "reduce_torch_module",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'kito' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"kito.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_OLD = re.compile(r"kito-(?P<version>[^-]+?)(-.*)?\.(dist|egg)-info")
"""The folder of metadata of the old distribution."""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)
    except OSError:  # a zip file, or a folder that does not exist
        return []


def _warn_about_old_distribution() -> None:
    """Warn where the old distribution ``kito`` (Keras 2) has installed its files over these."""
    # importlib.metadata would find it too, but takes most of the time of this import.
    matches = (_OLD.fullmatch(name) for folder in sys.path for name in _names(folder))
    old = next(filter(None, matches), None)
    if old is None:
        return
    warnings.warn(
        f"the old distribution 'kito' {old['version']} is installed beside 'pytest-kito' and "
        "shares its import name: run 'pip uninstall kito', then "
        "'pip install --force-reinstall --no-deps pytest-kito'",
        stacklevel=3,
    )


_warn_about_old_distribution()
