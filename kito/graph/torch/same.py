"""Whether two runs returned the same."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree

_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
"""How far outputs may be apart by rounding, relative to the largest element."""
_COARSE = 5e-2
"""The same for dtypes of 16 bits."""


def find_difference(theirs: Any, ours: Any, limit: float | None = None) -> str:
    """In words, how outputs differ by more than ``limit`` of their scale; empty if they do not.

    Without ``limit``, they may differ by what rounding makes in their dtype.
    """
    one, its_kind = pytree.tree_flatten(theirs)
    other, kind = pytree.tree_flatten(ours)
    if its_kind != kind:
        return "its outputs have another structure"
    for a, b in zip(one, other, strict=True):
        if isinstance(a, torch.Tensor):
            problem = _of_tensors(a, b, limit)
            if problem:
                return problem
        elif a is not b:
            problem = _of_others(a, b, limit)
            if problem:
                return problem
    return ""


def error_of(outputs: Any, truth: Any) -> float:
    """The root of the mean of squared differences of all floats from those of ``truth``."""
    pairs = zip(pytree.tree_leaves(outputs), pytree.tree_leaves(truth), strict=True)
    errors = [
        (a.double() - b.double()).flatten()
        for a, b in pairs
        if isinstance(a, torch.Tensor) and a.is_floating_point() and a.shape == b.shape
    ]
    return float(torch.cat(errors).square().mean().sqrt()) if errors else float("inf")


def _of_others(a: Any, b: Any, limit: float | None) -> str:
    if type(a) is not type(b):
        return f"an output is a {type(b).__name__}, not a {type(a).__name__}"
    if hasattr(a, "__dict__"):
        return find_difference(vars(a), vars(b), limit)
    return "" if a == b else f"an output is {b!r:.40}, not {a!r:.40}"


def _of_tensors(a: torch.Tensor, b: Any, limit: float | None) -> str:
    if not isinstance(b, torch.Tensor):
        return f"an output is a {type(b).__name__}"
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"an output is {b.dtype} of shape {tuple(b.shape)}, not {tuple(a.shape)}"
    if not (a.is_floating_point() or a.is_complex()):
        return "" if torch.equal(a, b) else "an output of integers differs"
    most = _ROUNDING.get(a.dtype, _COARSE) if limit is None else limit
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    a, b = a.double(), b.double()
    finite = torch.isfinite(a)
    if not torch.equal(finite, torch.isfinite(b)):
        return "other elements of an output are finite"
    if not bool(finite.any()):
        return ""
    scale = float(a[finite].abs().max())
    difference = float((a - b)[finite].abs().max())
    if difference > most * scale:
        return f"an output differs by {difference / max(scale, 1e-300):.2g} of its scale"
    return ""
