"""LayerNormalization without its scale and shift, which the layers after it absorb.

Identity, with ``n`` the normalized input: ``W (gamma * n + beta) + b = (W gamma) n +
(b + W beta)``. Where not both can be sunk, one of them may: ``gamma * n + beta`` is
``gamma * (n + beta / gamma)``, so the scale can be last as well as the shift.

A LayerNormalization takes about five operations on the whole tensor. Two are left without scale and
shift; three with a shift, four with a scale (TensorFlow; see ``keras.ops.layer_normalization``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keras import layers

from kito.graph.ir import Node, Op
from kito.rewrite.affine import Affine, Array, Refused
from kito.rewrite.legality import Affines, check_size
from kito.rewrite.numerics import cast
from kito.rewrite.outcome import Rewrite
from kito.rewrite.propagation import Propagation
from kito.rewrite.transfer import transfer_of

_NO_SCALE, _NO_SHIFT = {"scale": False}, {"center": False}


@dataclass(frozen=True)
class Option:
    """One split of the affine that a LayerNormalization ends with.

    Attributes:
        sunk: what the layers after it absorb.
        weights: the weights of the LayerNormalization that change; None for those it loses.
        config: its constructor arguments that change.
        biased: whether to sink it only into layers that have a bias already.
    """

    sunk: Affine
    weights: dict[str, Array | None]
    config: dict[str, bool]
    biased: bool = False


def without_affine(node: Node) -> Rewrite | None:
    """Sink the scale and shift of a LayerNormalization; drop them where they are 1 and 0."""
    op = node.op.innermost
    if type(op.layer) is not layers.LayerNormalization or len(op.calls()) > 1:
        return None
    if node.runs_training or node.graph.runs_training:
        return None
    result = node.outputs[0]
    try:
        own = transfer_of(node.op).own_affine(node.op, len(result.shape))
    except Refused:
        return None
    if own is None or op.layer.compute_dtype != result.dtype:
        return None
    if not own.cost:
        op.change({"gamma": None, "beta": None}, {**_NO_SCALE, **_NO_SHIFT})
        return Rewrite("choose_kernels", (node.op.name,), node.op.name)
    for option in _options(op, own):
        affines = Affines()
        propagation = Propagation(affines, biased=option.biased)
        propagation.start(node)
        try:
            check_size(node, option.sunk)
            propagation.sink(result, option.sunk)
        except Refused:
            continue
        into = propagation.plan.apply(affines)
        op.change(option.weights, option.config)
        return Rewrite("choose_kernels", (node.op.name,), into)
    return None


def _options(op: Op, own: Affine) -> Iterator[Option]:
    """Every split of ``own``, the best first.

    A shift alone saves one operation, which a new bias would cost again.
    """
    yield Option(own, {"gamma": None, "beta": None}, {**_NO_SCALE, **_NO_SHIFT})
    if own.cost < 2:
        return
    dtype = op.layer.variable_dtype
    try:
        shift_first = cast(own.shift_first().shift, dtype, "beta", dtype)
    except Refused:
        pass
    else:
        yield Option(own.only_scale(), {"gamma": None, "beta": shift_first}, _NO_SCALE)
    yield Option(own.only_shift(), {"beta": None}, _NO_SHIFT, biased=True)
