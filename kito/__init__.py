"""Exact reduction of trained Keras models for inference, and the proofs that come with it.

Importing this package imports no Keras; using one of its names does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError, UnsupportedModelError
from kito.passes.names import DEFAULT_PASSES, PASSES

if TYPE_CHECKING:
    from kito.affine import Affine, Refused
    from kito.comparison import Comparison, compare, compare_two_models_results
    from kito.reduction import Reduction, reduce, reduce_keras_model
    from kito.rewrites import Kept, Rewrite
    from kito.timing import SpeedupEstimate, measure_speedup
    from kito.transfer import Change, Site, Transfer, register

_HOME = {
    "Affine": "affine",
    "Change": "transfer",
    "Comparison": "comparison",
    "Kept": "rewrites",
    "Reduction": "reduction",
    "Refused": "affine",
    "Rewrite": "rewrites",
    "Site": "transfer",
    "SpeedupEstimate": "timing",
    "Transfer": "transfer",
    "compare": "comparison",
    "compare_two_models_results": "comparison",
    "measure_speedup": "timing",
    "reduce": "reduction",
    "reduce_keras_model": "reduction",
    "register": "transfer",
}

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
    "Transfer",
    "UnsupportedModelError",
    "compare",
    "compare_two_models_results",
    "measure_speedup",
    "reduce",
    "reduce_keras_model",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kito' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"kito.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _warn_of_old_distribution() -> None:
    """The old distribution ``kito`` (Keras 2) installs files over ours under the same name."""
    try:
        version = importlib.metadata.version("kito")
    except importlib.metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"the old distribution 'kito' {version} is installed beside 'pytest-kito' and shares its "
        "import name: run 'pip uninstall kito', then "
        "'pip install --force-reinstall --no-deps pytest-kito'",
        stacklevel=3,
    )


_warn_of_old_distribution()
