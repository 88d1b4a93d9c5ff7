"""Fold per-channel affines into the layers around them.

Identity, for a layer that is linear but for its bias, and ``A(x) = s * x + t`` per output channel:
``A(W x + b) = (s W) x + (s b + t)``, so the layer with kernel ``s W`` and bias ``s b + t`` does the
work of both. BatchNormalization in inference is such an ``A`` with
``s = gamma / sqrt(moving_variance + epsilon)`` and ``t = beta - s * moving_mean``.

It holds only where nobody else sees ``W x + b``. A layer that is called at several places is
changed itself only if all its calls are followed by the same affine; otherwise a call that is gets
a copy of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from keras import layers

from kito.affine import Affine, Refused
from kito.graph import all_layers
from kito.nodes import Graph, Node, Op, Tensor
from kito.rewrites import Kept, Outcome, Rewrite
from kito.transfer import Change, transfer_of

_KITO_TYPES = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)

Allow = Callable[[Node], None]  # raises Refused for a producer that is not wanted


def run(graph: Graph) -> Outcome:
    """Fold every affine of ``graph``, and of the models nested in it, that can be folded."""
    return _fold(graph, "fold_affine", lambda producer: None)


def run_batchnorm(graph: Graph) -> Outcome:
    """Fold as KITO 1.0.5 did: BatchNormalization after a convolution that is called once."""
    return _fold(graph, "fold_batchnorm", _as_kito)


def _as_kito(producer: Node) -> None:
    if type(producer.op.layer) not in _KITO_TYPES:
        raise Refused(
            f"fold_batchnorm does not fold into '{producer.op.name}' ({producer.op.type_name})"
        )
    if len(producer.op.sites()) > 1:
        raise Refused(
            f"fold_batchnorm leaves '{producer.op.name}' alone: it is called several times"
        )


def _fold(graph: Graph, pass_name: str, allow: Allow) -> Outcome:
    outcome = Outcome()
    kept: dict[object, Kept] = {}  # by what is kept: names are not unique in nested models
    for inner in graph.graphs():
        for node in list(inner.nodes):
            if node not in inner.nodes:
                continue  # folded together with another call of its producer
            try:
                affine = _affine(node)
                if affine is None:
                    kept.update(_closed(node.op.innermost))
                    continue
                into = _fold_one(inner, node, affine, allow)
            except Refused as refusal:
                kept.setdefault(node.op.innermost, Kept(node.op.name, str(refusal)))
            else:
                outcome.rewrites.append(Rewrite(pass_name, (node.op.name,), into))
    outcome.kept = list(kept.values())
    return outcome


def _affine(node: Node) -> Affine | None:
    """The affine that the call is, None where it is none; Refused where it may be another."""
    op = node.op
    source = node.data
    if source is None or not isinstance(op.layer, layers.Layer) or op.graph is not None:
        return None
    return transfer_of(op).affine(op, len(source.shape))


def _closed(op: Op) -> dict[object, Kept]:
    """The normalizations inside a layer that is no graph to us."""
    if op.graph is not None or not isinstance(op.layer, layers.Layer):
        return {}
    return {
        (op, layer): Kept(layer.name, f"it is inside '{op.name}' ({op.type_name}), a closed layer")
        for layer in all_layers(op.layer)
        if isinstance(layer, layers.BatchNormalization)
    }


def _fold_one(graph: Graph, node: Node, affine: Affine, allow: Allow) -> str:
    """Fold the call ``node`` into the call before it; returns the name of the layer that has it."""
    producer, change = _match(node, affine, allow)
    sites = producer.op.innermost.sites()
    followers = [_follower(site, node.op) for site in sites]
    if len(sites) > 1 and not _all_alike(followers, affine, allow):
        graph.give_own_copy(producer)
        followers = [node]
    producer.op.innermost.change(change.weights, change.config)
    for follower in followers:
        assert follower is not None
        follower.graph.bypass(follower)
    return producer.op.name


def _match(node: Node, affine: Affine, allow: Allow) -> tuple[Node, Change]:
    """The call that can absorb ``node``, and its change; raises Refused with the reason."""
    source = node.data
    assert source is not None
    producer = source.node
    if node.runs_training:
        raise Refused("it is called with training=True, and normalizes by the batch then")
    if node.graph.runs_training:
        raise Refused(f"model '{node.graph.model.name}' around it is called with training=True")
    if producer.is_input:
        raise Refused(f"it reads the input '{producer.op.name}'; there is no layer before it")
    _check_alone(node.graph, producer, source)
    if node.changes_mask:
        raise Refused("it is called with a mask of its own, which layers after it may heed")
    if node.outputs[0].dtype != source.dtype:
        raise Refused(f"it returns {node.outputs[0].dtype}, '{producer.op.name}' {source.dtype}")
    allow(producer)
    if node.graph.is_output(node.outputs[0]) and len(node.op.sites()) > 1:
        raise Refused("it names an output of the model, and is called elsewhere too")
    change = _absorb(producer.op, affine, source)
    return producer, change


def _absorb(op: Op, affine: Affine, source: Tensor) -> Change:
    if not isinstance(op.layer, layers.Layer):
        raise Refused(f"no affine can be folded into the operation '{op.name}' ({op.type_name})")
    if op.graph is not None:
        raise Refused(f"it follows model '{op.name}', whose inside other places may use")
    return transfer_of(op).absorb_following(op, affine, len(source.shape))


def _check_alone(graph: Graph, producer: Node, source: Tensor) -> None:
    if graph.is_output(source):
        raise Refused(f"the result of '{producer.op.name}' before it is an output of the model")
    if len(source.users) > 1:
        others = ", ".join(dict.fromkeys(f"'{user.op.name}'" for user in source.users))
        raise Refused(
            f"the result of '{producer.op.name}' is used {len(source.users)} times: {others}"
        )


def _follower(site: Node, op: Op) -> Node | None:
    """The only call that uses the result of ``site``, if it is a call of ``op``."""
    users = site.outputs[0].users if len(site.outputs) == 1 else []
    return users[0] if len(users) == 1 and users[0].op is op else None


def _all_alike(followers: list[Node | None], affine: Affine, allow: Allow) -> bool:
    """Whether each call of a layer is followed by the same affine, and each could be folded."""
    for follower in followers:
        if follower is None:
            return False
        try:
            other = _affine(follower)
            if other is None or not other.same_as(affine):
                return False
            _match(follower, other, allow)
        except Refused:
            return False
    return True
