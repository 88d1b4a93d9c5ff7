"""Let convolutions pad by themselves.

Identity: ``conv(pad(x), padding="valid") = conv(x, padding="same")`` where ``pad`` puts around
``x`` exactly the zeros that ``same`` would put there for the size of ``x`` (see
:mod:`kito.rewrite.convolution`). It saves a copy of the whole tensor.

It holds for plain, depthwise and separable convolutions of one to three dimensions. A padding is
removed only if every user of it can absorb it; a convolution that is called at several places is
changed only if all its calls read such paddings.
"""

from __future__ import annotations

from kito.graph.ir import Graph, Node, Op
from kito.rewrite.affine import Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import (
    DENSE,
    DEPTHWISE,
    PADDINGS,
    SEPARABLE,
    padded_zeros,
    spatial_sizes,
    windows,
)
from kito.rewrite.outcome import Outcome, Rewrite

_CONVOLUTIONS = (*DENSE, *DEPTHWISE, *SEPARABLE)


def run(graph: Graph) -> Outcome:
    """Absorb every padding of ``graph``, and of the models nested in it, that can be absorbed."""
    paddings = {
        node: users
        for inner in graph.graphs()
        for node in inner.nodes
        if type(node.op.layer) in PADDINGS and (users := _users(node))
    }
    while True:  # a padding that stays holds its convolutions back, and they other paddings
        ops = {user.op for users in paddings.values() for user in users}
        whole = {op for op in ops if all(_padding(call, op) in paddings for call in op.calls())}
        stay = [node for node, users in paddings.items() if not {x.op for x in users} <= whole]
        if not stay:
            break
        for node in stay:
            del paddings[node]
    outcome = Outcome()
    for op in whole:
        op.change({}, {"padding": "same"})
    for node, users in paddings.items():
        into = ", ".join(dict.fromkeys(user.op.name for user in users))
        outcome.rewrites.append(Rewrite("absorb_padding", (node.op.name,), into))
        node.graph.bypass(node)
    return outcome


def _padding(call: Node, op: Op) -> Node | None:
    """The call whose result this call reads, where it is a call of the layer itself."""
    return None if call.op is not op or call.data is None else call.data.node


def _users(node: Node) -> list[Node]:
    """The convolutions that read the padding; none if any user of it cannot absorb it."""
    source, result = node.data, node.outputs[0]
    if source is None or node.changes_mask or node.graph.is_output(result):
        return []
    if source.dtype != result.dtype:
        return []
    users = list(dict.fromkeys(result.users))
    try:
        fit = all(_pads_alike(node, user) for user in users)
    except Refused:
        return []
    return users if fit else []


def _pads_alike(node: Node, user: Node) -> bool:
    layer, padded = user.op.layer, node.outputs[0]
    if type(layer) not in _CONVOLUTIONS or user.op.setting("padding") != "valid":
        return False
    if user.data is not padded or user.inputs != [padded]:
        return False
    source = node.data
    assert source is not None
    if is_channels_first(layer) is not is_channels_first(node.op.layer):
        return False
    sizes = spatial_sizes(layer, source)
    zeros = [window.same(n) for window, n in zip(windows(user.op), sizes, strict=True)]
    return zeros == padded_zeros(node.op.layer)
