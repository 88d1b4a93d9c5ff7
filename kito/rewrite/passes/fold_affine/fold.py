"""Fold per-channel affines into the layers around them, near or far.

Identity, for a layer that is linear but for its bias, and ``A(x) = s * x + t`` per channel:
``A(W x + b) = (s W) x + (s b + t)`` after it, and ``W A(x) + b = (W s) x + (b + W t)`` before it.
BatchNormalization in inference is such an ``A``, with
``s = gamma / sqrt(moving_variance + epsilon)`` and ``t = beta - s * moving_mean``. Between ``A``
and the layer there may be layers that let ``A`` pass.

Each affine is hoisted or sunk as a whole. Where neither is possible, its scale goes one way and its
shift the other; or one of the two goes, and the other stays; or it is composed with another affine
(:mod:`~kito.rewrite.passes.fold_affine.options`). What is left becomes a ``Rescaling``
(:mod:`~kito.rewrite.passes.fold_affine.precompute`). Then biases are sunk into other biases
(:mod:`~kito.rewrite.passes.fold_affine.biases`).
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Graph, Node
from kito.rewrite.affine import Refused
from kito.rewrite.legality import Affines, check_movable
from kito.rewrite.outcome import Outcome
from kito.rewrite.passes.fold_affine.biases import sink_biases
from kito.rewrite.passes.fold_affine.equal_terms import replace_equal_sums
from kito.rewrite.passes.fold_affine.move import move
from kito.rewrite.passes.fold_affine.options import options
from kito.rewrite.passes.fold_affine.precompute import precompute
from kito.rewrite.passes.fold_affine.sweep import Folded, Sweep
from kito.rewrite.propagation import Propagation
from kito.rewrite.transfer import transfer_of

_NAME = "fold_affine"


def run(graph: Graph) -> Outcome:
    """Fold every affine of ``graph``, and of the models nested in it, that can be folded."""
    sums = [rewrite for inner in graph.graphs() for rewrite in replace_equal_sums(inner, _NAME)]
    sweep = Sweep(graph, _NAME, _fold)
    sweep.run()
    precomputed = precompute(sweep)
    biases = sink_biases(graph, sweep.affines, _NAME)
    rewrites = [*sums, *sweep.rewrites, *biases]
    return Outcome(rewrites, list(sweep.kept.values()), precomputed)


def _fold(affines: Affines, node: Node) -> Folded | None:
    scaled_sum = _fold_scaled_operand(affines, node)
    if scaled_sum is not None:
        return scaled_sum
    affine = affines.of(node)
    if affine is None:
        return None
    check_movable(node)
    if affine.axis == 0:
        raise Refused("it works along the batch")
    if not affine.cost and not node.graph.is_output(node.outputs[0]):
        node.graph.bypass(node)
        return Folded(None)
    reasons = []
    for compose in (False, True):
        for option in options(affine):
            if option.remainder is not None and compose:
                continue
            try:
                into = move(affines, node, option, compose)
            except Refused as refusal:
                reasons += [str(refusal)] if option.is_whole and not compose else []
            else:
                return Folded(into, option.part)
    raise Refused("; nor can it move into the layers after it: ".join(dict.fromkeys(reasons)))


def _fold_scaled_operand(affines: Affines, node: Node) -> Folded | None:
    """``x + s * y`` becomes a plain sum where the scale ``s`` can be hoisted above ``y``."""
    scaled = transfer_of(node.op).scaled_operand(node.op)
    if scaled is None:
        return None
    index, affine = scaled
    operands = node.inputs
    if len({x.shape for x in operands}) > 1 or any(x.mask is not None for x in operands):
        raise Refused("it adds tensors of different shapes, or drops a mask")
    propagation = Propagation(affines)
    propagation.start(node)
    propagation.hoist(operands[index], affine, node)
    into = propagation.plan.apply(affines)
    plain = layers.Add(name=node.op.name, dtype=node.op.layer.dtype_policy)
    node.graph.call_layer(node, plain, operands)
    return Folded(into)
