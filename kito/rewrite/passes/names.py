"""The names of the passes, importable without Keras."""

from __future__ import annotations

DEFAULT_PASSES: tuple[str, ...] = (
    "drop_identity",
    "fold_affine",
    "absorb_padding",
    "merge_branches",
    "move_pointwise",
    "move_strides",
    "collapse_linear",
    "move_upsampling",
    "choose_kernels",
)
"""The passes that :func:`kito.reduce` runs by default, in order."""

PASSES: tuple[str, ...] = (*DEFAULT_PASSES, "fold_batchnorm")
"""All passes; ``fold_batchnorm`` alone does exactly what KITO 1.0.5 did."""
