"""MultiHeadAttention absorbs an affine of its query, key or value in its projections.

Identity, for each projection ``W x + b`` of an operand ``A(x) = s * x + t`` per channel:
``W A(x) + b = (W s) x + (b + W t)``. The same tensor may be several of the operands, as it is in
self-attention; then each projection of it changes. What follows the projections stays the same.
"""

from __future__ import annotations

import numpy as np
from keras import layers

from kito.graph.ir import Node, Op, Tensor
from kito.graph.stock import named_weights
from kito.rewrite.affine import Affine, Array, Refused
from kito.rewrite.numerics import add_to_bias, scale_kernel
from kito.rewrite.transfer.preconditions import check_plain
from kito.rewrite.transfer.protocol import Change, NotCarried, Transfer
from kito.rewrite.transfer.registry import provide

_OPERANDS = ("query", "value", "key")
"""The first arguments of ``call``, in order; where no key is given, the value is the key."""
_NAMES = {"kernel", "bias"}


class MultiHeadAttention(Transfer):
    """Its projections are "query", "key", "value" and, of the query again, "gate"."""

    def absorb_operands(self, node: Node, tensor: Tensor, affine: Affine) -> Change:
        op = node.op
        check_plain(op)
        if len(op.calls()) > 1:
            raise Refused(f"'{op.name}' is called at several places")
        if op.layer.compute_dtype != tensor.dtype or node.runs_training:
            raise Refused(f"'{op.name}' computes in {op.layer.compute_dtype}, or in training mode")
        weights: dict[str, Array] = {}
        for projection in self._projections(node, tensor):
            weights |= self._absorb(op, projection, affine, len(tensor.shape))
        return Change(weights)

    def _projections(self, node: Node, tensor: Tensor) -> list[str]:
        """The projections of the tensor; raises NotCarried where another argument takes it too."""
        given = dict(zip(_OPERANDS, node.args, strict=False)) | node.kwargs
        if given.get("key") is None:
            given["key"] = given.get("value")
        elsewhere = {k: x for k, x in given.items() if k not in _OPERANDS}
        if any(x is tensor for x in elsewhere.values()) or len(node.args) > len(_OPERANDS):
            raise NotCarried(f"'{node.op.name}' takes it as another argument too")
        operands = [name for name in _OPERANDS if given.get(name) is tensor]
        gated = "query" in operands and "gate/kernel" in named_weights(node.op.layer)
        return [*operands, "gate"] if gated else operands

    def _absorb(self, op: Op, projection: str, affine: Affine, rank: int) -> dict[str, Array]:
        """The new weights of one projection."""
        own = {x.split("/")[-1] for x in named_weights(op.layer) if x.startswith(f"{projection}/")}
        kernel = op.weight(f"{projection}/kernel")
        if kernel is None or not own <= _NAMES:
            raise Refused(f"'{op.name}' has a '{projection}' of an unknown kind")
        affine = affine.along(rank - 1, kernel.shape[0], op.name)
        per_input = (-1, *[1] * (kernel.ndim - 1))
        weights = {}
        if affine.scales:
            scale = affine.scale.reshape(per_input)
            weights[f"{projection}/kernel"] = scale_kernel(kernel, scale, op.layer.compute_dtype)
        if affine.shifts:
            bias = op.weight(f"{projection}/bias")
            if bias is None:
                raise Refused(f"'{op.name}' has no biases that could hold its shift")
            with np.errstate(all="ignore"):
                response = np.tensordot(affine.shift, kernel.astype(np.float64), 1)
            weights[f"{projection}/bias"] = add_to_bias(
                bias, response, bias.dtype, op.layer.compute_dtype
            )
        return weights


provide(MultiHeadAttention(), layers.MultiHeadAttention)
