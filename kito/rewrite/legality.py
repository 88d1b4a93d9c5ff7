"""Which calls are affines, and whether they may be removed, replaced or moved.

:mod:`kito.rewrite.propagation` and the passes ask here which affine a call is, whether the call can
be removed at all, and whether its shift is small enough to move without losing digits.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kito.graph.ir import Node, Op
from kito.rewrite.affine import LARGEST_SHIFT, Affine, Refused
from kito.rewrite.numerics import check_range
from kito.rewrite.transfer import transfer_of

LARGEST_DRIFT = 16.0
"""The most standard deviations by which a tensor with several users is shifted: costs 4 bits."""


class Affines:
    """The affine of each call, as passes left it.

    Attributes:
        altered: the calls whose affine is no longer that of their layer.
    """

    def __init__(self) -> None:
        self._known: dict[Node, Affine | None] = {}
        self.altered: set[Node] = set()

    def of(self, node: Node) -> Affine | None:
        """The affine that the call is; None where it computes something else.

        Raises:
            Refused: that is unknown, as for a subclass of BatchNormalization.
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
        """From now on the call is this affine, for which :func:`check_holds` must have passed."""
        self._known[node] = affine
        self.altered.add(node)


def check_movable(node: Node) -> None:
    """Raise Refused where the call, which is an affine, cannot be removed whatever is around it."""
    source, result = node.data, node.outputs[0]
    assert source is not None
    if node.runs_training:
        raise Refused("it is called with training=True, and normalizes by the batch then")
    if node.graph.runs_training:
        raise Refused(f"model '{node.graph.model.name}' around it is called with training=True")
    if node.changes_mask:
        raise Refused("it is called with a mask of its own, which layers after it may use")
    if result.dtype != source.dtype or result.shape != source.shape:
        raise Refused(
            f"it returns {result.dtype} of shape {result.shape}, from {source.dtype} of shape "
            f"{source.shape}"
        )


def check_changeable(op: Op) -> None:
    """Raise Refused where the weights of a layer may not change, because it cannot be copied."""
    inner = op.innermost
    if inner.fixed is not None:
        raise Refused(
            f"'{op.name}' ({inner.type_name}) cannot be copied, and stays as it is: {inner.fixed}"
        )


def check_holds(node: Node, affine: Affine) -> None:
    """Raise Refused where no ``Rescaling`` could compute ``affine`` in the place of this call."""
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
    """Whether the call is that of a BatchNormalization."""
    return isinstance(node.op.innermost.layer, layers.BatchNormalization)


def check_size(node: Node, affine: Affine) -> None:
    """Raise Refused where a shift is so large that sinking it would lose digits.

    ``W (x + t)`` sums small terms, ``W x + W t`` sums large terms that cancel. A BatchNormalization
    may always sink: Keras computes it as ``s * x + t``, and loses as many digits in its own place.
    """
    if not is_normalization(node) and not np.all(np.abs(affine.shift) <= LARGEST_SHIFT):
        largest = float(np.max(np.abs(affine.shift)))
        raise Refused(f"its shift, up to {largest:.3g}, would cost digits after a kernel")


def fits_stream(affines: Affines, node: Node, shift: Affine) -> bool:
    """Whether a tensor with several users can carry ``shift`` without losing digits that matter.

    The limit comes from the statistics of the BatchNormalization ``node``, which reads the tensor.
    """
    if not is_normalization(node) or node in affines.altered:
        return False
    mean, variance = (node.op.innermost.weight(f"moving_{x}") for x in ("mean", "variance"))
    if mean is None or variance is None:
        return False
    spread = np.sqrt(np.maximum(variance.astype(np.float64), 0.0))
    limit = np.abs(mean.astype(np.float64)) + LARGEST_DRIFT * spread
    return bool(np.all(np.abs(shift.shift) <= limit))
