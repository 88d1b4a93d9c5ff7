"""The names of the passes, importable without Keras."""

from __future__ import annotations

DEFAULT_PASSES: tuple[str, ...] = (
    "drop_identity",
    "fold_affine",
    "absorb_padding",
    "merge_branches",
    "collapse_linear",
    "choose_kernels",
)
"""What :func:`kito.reduce` runs, in order."""

PASSES: tuple[str, ...] = (*DEFAULT_PASSES, "fold_batchnorm")
"""Every pass there is; ``fold_batchnorm`` alone is exactly what KITO 1.0.5 did."""
