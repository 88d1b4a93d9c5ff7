"""LayerNormalization without its scale and shift, which the layers after it take in.

Identity, with ``n`` the normalized input: ``W (gamma * n + beta) + b = (W gamma) n +
(b + W beta)``. Where not both can go, one of them may: ``gamma * n + beta`` is
``gamma * (n + beta / gamma)``, so the scale can be last as well as the shift.

Of about five operations on the whole tensor, two are left then; three with a shift, four with a
scale (TensorFlow; see ``keras.ops.layer_normalization``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras import layers

from kito.graph.ir import Node, Op
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import Affines, check_size
from kito.rewrite.numerics import check_range
from kito.rewrite.outcome import Rewrite
from kito.rewrite.propagation import Journey
from kito.rewrite.transfer import transfer_of

_SCALE, _SHIFT = {"scale": False}, {"center": False}


def without_affine(node: Node) -> Rewrite | None:
    """Let the layers after it have what it scales and shifts by; where it is 1 and 0, nobody."""
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
        op.change({"gamma": None, "beta": None}, {**_SCALE, **_SHIFT})
        return Rewrite("choose_kernels", (node.op.name,), node.op.name)
    for down, weights, config, biased in _options(op, own):
        affines = Affines()
        journey = Journey(affines, biased=biased)
        journey.start(node)
        try:
            check_size(node, down)
            journey.down(result, down)
        except Refused:
            continue
        into = journey.plan.carry_out(affines)
        op.change(weights, config)
        return Rewrite("choose_kernels", (node.op.name,), into)
    return None


def _options(op: Op, own: Affine) -> Iterator[tuple[Affine, dict[str, Any], dict[str, bool], bool]]:
    """What goes down; what stays; and whether it goes only where there are biases already.

    A shift alone saves one operation, which a bias that is new would cost again.
    """
    yield own, {"gamma": None, "beta": None}, {**_SCALE, **_SHIFT}, False
    if own.cost < 2:
        return
    try:
        first = own.shift_first().shift.astype(op.layer.variable_dtype)
        check_range(first, "beta", op.layer.variable_dtype)
        yield own.only_scale(), {"gamma": None, "beta": first}, _SCALE, False
    except Refused:
        pass
    yield own.only_shift(), {"beta": None}, _SHIFT, True
