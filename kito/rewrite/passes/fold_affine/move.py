"""Move the affine of one call, or a part of it, into the layers around it."""

from __future__ import annotations

from collections.abc import Sequence

from kito.graph.ir import Node
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import Affines, check_holds, check_movable, check_size, fits_stream
from kito.rewrite.passes.fold_affine.options import Option
from kito.rewrite.propagation import Propagation


def move(affines: Affines, node: Node, option: Option, compose: bool) -> str | None:
    """Move the affine of a call as ``option`` says, and that of the other calls of its layer.

    Where not all calls of the layer can follow, this call is moved alone.

    Args:
        affines: the affines of all calls.
        node: the call.
        option: what is hoisted, what is sunk, and what remains in the place of the call.
        compose: whether it may be composed with another affine on its way.

    Returns:
        The names of the layers that absorbed it; None where there are none.

    Raises:
        Refused: it cannot be moved.
    """
    if option.remainder is not None:
        check_holds(node, option.remainder)
    own = affines.of(node)
    assert own is not None
    # Other calls may have their channels on another axis, or have lost a part of their affine.
    alike = [x for x in node.op.nodes if (its := affines.of(x)) is not None and its.same_as(own)]
    groups = [alike, [node]] if len(alike) > 1 else [[node]]
    for group in groups:
        hoisted = option.hoisted
        streams = hoisted is not None and all(fits_stream(affines, x, hoisted) for x in group)
        propagation = Propagation(affines, compose, streams=streams)
        try:
            for member in group:
                plan_move(propagation, member, hoisted, option.sunk, group)
        except Refused:
            if group is groups[-1]:
                raise
            continue
        into = propagation.plan.apply(affines)
        for member in group:
            if option.remainder is None:
                member.graph.bypass(member)
            else:
                affines.alter(member, option.remainder)
        break
    return into


def plan_move(
    propagation: Propagation,
    node: Node,
    hoisted: Affine | None,
    sunk: Affine | None,
    together: Sequence[Node] = (),
) -> None:
    """Plan to hoist one part of the affine of a call and to sink another.

    Args:
        propagation: what is planned so far.
        node: the call.
        hoisted: what the layers before it absorb; None for nothing.
        sunk: what the layers after it absorb; None for nothing.
        together: the calls that are moved with this one, or not at all.

    Raises:
        Refused: it cannot be moved.
    """
    check_movable(node)
    source, result = node.data, node.outputs[0]
    assert source is not None
    # An Identity is to have the name of the layer, which must not be called any more.
    stays = not set(node.op.calls()) <= {node, *together}
    if node.graph.is_output(result) and stays:
        raise Refused("it names an output of the model, and is called elsewhere too")
    propagation.start(node)
    if hoisted is not None:
        propagation.hoist(source, hoisted, node)
    if sunk is not None:
        check_size(node, sunk)
        propagation.sink(result, sunk)
