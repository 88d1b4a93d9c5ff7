"""Which affines may leave their place, and what may take it.

A journey (:mod:`kito.rewrite.propagation`) asks here what a call is, whether it can go at all, and whether its
shift is small enough for where it is to go.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Node
from kito.rewrite.affine import LARGEST_SHIFT, Affine, Refused
from kito.rewrite.numerics import check_range
from kito.rewrite.transfer import transfer_of

LARGEST_DRIFT = 16.0
"""Standard deviations by which a tensor that several calls use may be shifted: 4 bits."""


class Affines:
    """The calls that are affines, as passes left them."""

    def __init__(self) -> None:
        self._known: dict[Node, Affine | None] = {}
        self.altered: set[Node] = set()

    def of(self, node: Node) -> Affine | None:
        """The affine that the call is; None where it is none.

        Raises:
            Refused: it may be one, or may not.
        """
        if node not in self._known:
            op = node.op
            is_model = op.innermost.graph is not None
            alone = node.data is not None and len(node.outputs) == 1
            self._known[node] = (
                transfer_of(op).affine_of_call(node) if alone and not is_model else None
            )
        return self._known[node]

    def alter(self, node: Node, affine: Affine) -> None:
        """From now on the call is another affine; :func:`check_holds` has been asked."""
        self._known[node] = affine
        self.altered.add(node)


def check_movable(node: Node) -> None:
    """Raise Refused where the call cannot be taken away, whatever is around it."""
    source, result = node.data, node.outputs[0]
    assert source is not None
    if node.runs_training:
        raise Refused("it is called with training=True, and normalizes by the batch then")
    if node.graph.runs_training:
        raise Refused(f"model '{node.graph.model.name}' around it is called with training=True")
    if node.changes_mask:
        raise Refused("it is called with a mask of its own, which layers after it may heed")
    if result.dtype != source.dtype or result.shape != source.shape:
        raise Refused(
            f"it returns {result.dtype} of shape {result.shape}, from {source.dtype} of shape "
            f"{source.shape}"
        )


def check_holds(node: Node, affine: Affine) -> None:
    """Raise Refused where no ``Rescaling`` could do the work of ``affine`` at this call."""
    name = node.op.name
    if len(node.op.calls()) > 1:
        raise Refused(f"'{name}' is called at several places")
    if node.outputs[0].dtype != "float32":
        raise Refused(f"'{name}' computes in {node.outputs[0].dtype}")
    if keras.config.image_data_format() != "channels_last":
        raise Refused("Rescaling moves the axis of its arrays where images have channels first")
    for what, vector in (("scale", affine.scale), ("shift", affine.shift)):
        check_range(np.asarray(vector), what, "float32")


def is_normalization(node: Node) -> bool:
    """Whether the call is one of a BatchNormalization."""
    return isinstance(node.op.innermost.layer, layers.BatchNormalization)


def check_size(node: Node, affine: Affine) -> None:
    """Raise Refused where a shift is so large that moving it down would lose digits.

    ``W (x + t)`` sums what is left after the addition, ``W x + W t`` sums large terms that cancel.
    BatchNormalization itself is computed as ``s * x + t``, and loses as much where it is.
    """
    if not is_normalization(node) and not np.all(np.abs(affine.shift) <= LARGEST_SHIFT):
        largest = float(np.max(np.abs(affine.shift)))
        raise Refused(f"its shift, up to {largest:.3g}, would cost digits after a kernel")


def fits_stream(affines: Affines, node: Node, shift: Affine) -> bool:
    """Whether a tensor that others use too can hold ``shift`` and lose no digits that matter.

    The statistics of a BatchNormalization tell how large the elements of the tensor are.
    """
    if not is_normalization(node) or node in affines.altered:
        return False
    mean, variance = (node.op.innermost.weight(f"moving_{x}") for x in ("mean", "variance"))
    if mean is None or variance is None:
        return False
    spread = np.sqrt(np.maximum(variance.astype(np.float64), 0.0))
    limit = np.abs(mean.astype(np.float64)) + LARGEST_DRIFT * spread
    return bool(np.all(np.abs(shift.shift) <= limit))
