"""Exactly the fold of KITO 1.0.5: a BatchNormalization goes into the convolution just before it.

Identity: ``s * (W x + b) + t = (s W) x + (s b + t)``, with
``s = gamma / sqrt(moving_variance + epsilon)`` and ``t = beta - s * moving_mean``. Only the layer
types that KITO knew are folded into, and only those that are called once.
"""

from __future__ import annotations

from keras import layers

from kito.graph.ir import Graph, Node
from kito.rewrite.affine import Refused
from kito.rewrite.legality import Affines, check_movable, is_normalization
from kito.rewrite.outcome import Outcome
from kito.rewrite.passes.fold_affine.move import plan_move
from kito.rewrite.passes.fold_affine.sweep import Folded, Sweep
from kito.rewrite.propagation import Propagation

_KITO_TYPES = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)


def run(graph: Graph) -> Outcome:
    """Fold every BatchNormalization of ``graph`` that KITO 1.0.5 would have folded."""
    sweep = Sweep(graph, "fold_batchnorm", _fold)
    sweep.run()
    return Outcome(sweep.rewrites, list(sweep.kept.values()))


def _fold(affines: Affines, node: Node) -> Folded | None:
    affine = affines.of(node) if is_normalization(node) else None
    if affine is None:
        return None
    check_movable(node)
    source = node.data
    assert source is not None
    propagation = Propagation(affines, direct=True)
    plan_move(propagation, node, hoisted=affine, sunk=None)
    producer = source.node.op
    if type(producer.layer) not in _KITO_TYPES:
        raise Refused(f"fold_batchnorm does not fold into '{producer.name}' ({producer.type_name})")
    if len(producer.calls()) > 1:
        raise Refused(f"fold_batchnorm leaves '{producer.name}' alone: it is called several times")
    into = propagation.plan.apply(affines)
    node.graph.bypass(node)
    return Folded(into)
