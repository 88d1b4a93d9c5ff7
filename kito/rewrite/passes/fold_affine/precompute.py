"""What is left of an affine becomes a ``Rescaling`` with vectors that are computed once.

A BatchNormalization computes ``s = gamma / sqrt(moving_variance + epsilon)`` and
``t = beta - s * moving_mean`` in every call; ``Rescaling(s, t)`` has them as constants.
"""

from __future__ import annotations

import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import check_holds, check_movable, is_normalization
from kito.rewrite.outcome import Kept, KeptAffine
from kito.rewrite.passes.fold_affine.sweep import Sweep


def precompute(sweep: Sweep) -> list[Op]:
    """Replace the affines that ``sweep`` changed in part, and the BatchNormalizations it kept.

    Returns:
        The ops that took the place of a BatchNormalization.
    """
    replaced = []
    for inner in sweep.graph.graphs():
        for node in list(inner.nodes):
            old = node.op.innermost
            altered = node in sweep.affines.altered
            if not altered and not (is_normalization(node) and (old, None) in sweep.kept):
                continue
            try:
                _replace(sweep, inner, node)
            except Refused:
                if altered:
                    raise
                continue  # the layer stays as it is
            if isinstance(old.layer, layers.BatchNormalization):
                replaced.append(node.op)
    return replaced


def _replace(sweep: Sweep, graph: Graph, node: Node) -> None:
    old, source = node.op.innermost, node.data
    check_movable(node)
    affine = sweep.affines.of(node)
    assert affine is not None
    assert source is not None
    check_holds(node, affine)
    graph.call_layer(node, _rescaling(node, affine), source)
    kept = sweep.kept.pop((old, None)).kept
    if isinstance(old.layer, layers.BatchNormalization):
        kept = Kept(kept.layer, f"{kept.reason}; a Rescaling has its two vectors now")
    sweep.keep(KeptAffine(node.op, kept))


def _rescaling(node: Node, affine: Affine) -> layers.Layer:
    """A layer that computes ``affine`` in float32, with the name of the call's layer."""
    rank = len(node.outputs[0].shape)
    behind = 0 if affine.axis is None else rank - 1 - affine.axis

    def constant(vector: np.ndarray) -> float | np.ndarray:
        if np.all(vector == vector[0]):
            return float(np.float32(vector[0]))
        return vector.astype(np.float32).reshape(-1, *[1] * behind)

    return layers.Rescaling(
        constant(affine.scale), constant(affine.shift), name=node.op.name, dtype="float32"
    )
