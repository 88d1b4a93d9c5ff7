"""How an affine leaves its place: up to the layers before it, or down to those after it.

A journey starts at one call that is an affine ``A`` and asks, call by call, what the transfers of
:mod:`kito.transfer` allow, until every path has ended at a layer that absorbs its share. It only
plans: nothing is changed before :meth:`Plan.carry_out`, so a journey that is refused leaves no
trace. It holds only where nobody else sees the tensors on its way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import keras

from kito.graph.ir import Node, Op, Tensor
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import Affines, check_holds, check_movable
from kito.rewrite.transfer import Change, Site, transfer_of
from kito.rewrite.transfer.preconditions import check_bias_axis
from kito.rewrite.transfer.protocol import NotCarried

_LONGEST = 2000
"""Calls that one journey may look at: alternatives multiply where joins follow each other."""


@dataclass
class Plan:
    """What a journey asks for.

    Attributes:
        changes: per call, the affine that it absorbs, whether from before it, and the change.
        composed: calls that are affines, and what they become.
        seen: every call on the way.
    """

    changes: dict[Node, tuple[Affine, bool, Change]] = field(default_factory=dict)
    composed: dict[Node, Affine] = field(default_factory=dict)
    seen: set[Node] = field(default_factory=set)

    def copy(self) -> Plan:
        """One that can grow without this one."""
        return Plan(dict(self.changes), dict(self.composed), set(self.seen))

    def carry_out(self, affines: Affines) -> str | None:
        """Change the layers; returns the names of those that absorbed something.

        A layer that is called at several places is changed itself only where every call of it asks
        for the same; otherwise each of these calls gets a copy of its own.
        """
        by_op: dict[Op, list[Node]] = {}
        for node in self.changes:
            by_op.setdefault(node.op.innermost, []).append(node)
        for op, nodes in by_op.items():
            first, before, change = self.changes[nodes[0]]
            alike = all(
                node.op is nodes[0].op and side is before and affine.same_as(first)
                for node in nodes
                for affine, side, _ in [self.changes[node]]
            )
            if alike and set(nodes) == set(op.calls()):
                op.change(change.weights, change.config)
                continue
            for node in nodes:
                if len(node.op.innermost.calls()) > 1:
                    node.graph.give_own_copy(node)
                own = self.changes[node][2]
                node.op.innermost.change(own.weights, own.config)
        for node, affine in self.composed.items():
            affines.alter(node, affine)
        names = dict.fromkeys(node.op.name for node in (*self.changes, *self.composed))
        return ", ".join(names) or None


class Journey:
    """One attempt to take an affine away, or several at once.

    Args:
        affines: the calls that are affines.
        compose: whether another affine on the way may take it in.
        direct: whether only the call before it may absorb it.
        biased: whether only layers that have a bias already may get another.
        streams: whether a shift may pass a tensor that others use too, which take it away again:
            a residual stream, say, ``(x + t) + (f(x) - t)``.
    """

    def __init__(
        self,
        affines: Affines,
        compose: bool = False,
        direct: bool = False,
        biased: bool = False,
        streams: bool = False,
    ) -> None:
        self.affines, self.compose, self.direct = affines, compose, direct
        self.biased, self.streams = biased, streams
        self.plan = Plan()
        self._steps = 0

    def start(self, node: Node) -> None:
        """``node`` goes away, so nothing may come to rest there, or pass."""
        self._see(node)

    # ---- up ------------------------------------------------------------------------------------

    def up(self, tensor: Tensor, affine: Affine, user: Node) -> None:
        """Plan for ``tensor`` to hold ``affine`` of what it holds now, for ``user``.

        Its other users, if any, are to take that away again; raises Refused.
        """
        node = tensor.node
        if node.is_input:
            raise Refused(f"it reads the input '{node.op.name}'; there is no layer before it")
        others = self._others(tensor, affine, user)
        self._see(node)
        for other in others:
            self._see(other)
            self._into(other, tensor, affine.negated())
        if self._rests(node, affine, before=False):
            return
        try:
            self._absorb(node, affine, before=False)
            return
        except Refused as refusal:
            if self.direct:
                raise
            try:
                site, operands = self._site(node)
                ways = transfer_of(node.op).carry_up(node.op, affine, site)
            except NotCarried:
                raise refusal from None
            _check_carries(node, operands)
        self._take(ways, operands, node)

    def _others(self, tensor: Tensor, affine: Affine, user: Node) -> list[Node]:
        """Who else uses ``tensor``; raises Refused where nobody else may."""
        name = tensor.node.op.name
        if tensor.node.graph.is_output(tensor):
            raise Refused(f"the result of '{name}' before it is an output of the model")
        others = [x for x in dict.fromkeys(tensor.users) if x is not user]
        once = len(others) == len(tensor.users) - 1
        if others and not (once and self.streams and not affine.scales):
            names = ", ".join(dict.fromkeys(f"'{x.op.name}'" for x in tensor.users))
            raise Refused(f"the result of '{name}' is used {len(tensor.users)} times: {names}")
        return others

    def _take(self, ways: list[dict[int, Affine]], operands: list[Tensor], user: Node) -> None:
        """Go up the first of these ways that can be gone; raises Refused with the first reason."""
        refusal: Refused | None = None
        for way in ways:
            before = self.plan.copy()
            try:
                for i, affine in way.items():
                    if affine.cost or affine.adds:
                        self.up(operands[i], affine, user)
                return
            except Refused as reason:
                # Its traceback would keep this frame, and every kernel that was tried, alive.
                self.plan, refusal = before, refusal or reason.with_traceback(None)
        raise refusal or Refused("there is nothing beside it that could take it")

    # ---- down ----------------------------------------------------------------------------------

    def down(self, tensor: Tensor, affine: Affine) -> None:
        """Plan for the users of ``tensor`` to work without the ``affine`` in it; raises Refused."""
        graph = tensor.node.graph
        if graph.is_output(tensor):
            raise Refused(f"the result of '{tensor.node.op.name}' is an output of the model")
        for user in dict.fromkeys(tensor.users):
            self._see(user)
            try:
                change = transfer_of(user.op).absorb_operands(user, tensor, affine)
            except NotCarried:
                if tensor.users.count(user) > 1:
                    raise Refused(f"'{user.op.name}' takes it more than once") from None
                self._into(user, tensor, affine)
            else:
                self.plan.changes[user] = (affine, True, change)

    def _into(self, user: Node, tensor: Tensor, affine: Affine) -> None:
        if user.data is tensor:
            if self._rests(user, affine, before=True):
                return
            try:
                self._absorb(user, affine, before=True)
                return
            except Refused as reason:
                refusal = reason.with_traceback(None)  # as in _take
        else:
            refusal = Refused(f"'{user.op.name}' ({user.op.type_name}) takes it beside its data")
        transfer = transfer_of(user.op)
        try:
            site, operands = self._site(user)
            if tensor not in operands:
                raise refusal
            index = operands.index(tensor)
            across = transfer.carry_across(user.op, index, affine, site)
            passed = transfer.carry_down(user.op, index, affine, site)
        except NotCarried:
            raise refusal from None
        _check_carries(user, operands)
        if across:
            before = self.plan.copy()
            try:
                self._take(across, operands, user)
                return
            except Refused:
                self.plan = before
        self.down(user.outputs[0], passed)

    # ---- both ----------------------------------------------------------------------------------

    def _see(self, node: Node) -> None:
        self._steps += 1
        if node in self.plan.seen:
            raise Refused(f"it would reach '{node.op.name}' on two ways")
        if self._steps > _LONGEST:
            raise Refused("its ways part and join too often to follow them all")
        self.plan.seen.add(node)

    def _site(self, node: Node) -> tuple[Site, list[Tensor]]:
        """Where a call may let something through: its shapes, and the tensors that it takes."""
        # One that took another affine in is no longer what its layer is.
        altered = node in self.affines.altered or node in self.plan.composed
        if altered or node.op.innermost.graph is not None or len(node.outputs) != 1:
            raise NotCarried(f"no affine can pass '{node.op.name}'")
        operands = [x for x in keras.tree.flatten(node.args) if isinstance(x, Tensor)]
        return Site(tuple(x.shape for x in operands), node.outputs[0].shape), operands

    def _rests(self, node: Node, affine: Affine, before: bool) -> bool:
        """Whether the call is an affine that takes this one in."""
        if not self.compose:
            return False
        here = self.affines.of(node)
        if here is None:
            return False
        check_movable(node)
        together = affine.then(here) if before else here.then(affine)
        check_holds(node, together)
        self.plan.composed[node] = together
        return True

    def _absorb(self, node: Node, affine: Affine, before: bool) -> None:
        op, shape = node.op, node.outputs[0].shape
        if not isinstance(op.layer, keras.layers.Layer):
            raise Refused(f"no affine can be folded into the operation '{op.name}'")
        if op.innermost.graph is not None:
            verb = "feeds" if before else "follows"
            raise Refused(f"it {verb} model '{op.name}', whose inside other places may use")
        if node.graph.is_output(node.outputs[0]) and len(op.innermost.calls()) > 1:
            raise Refused(f"'{op.name}' names an output of the model, and is called elsewhere too")
        source = node.data
        if before:
            assert source is not None
            if op.layer.compute_dtype != source.dtype:
                raise Refused(f"'{op.name}' computes in {op.layer.compute_dtype}")
            change = transfer_of(op).absorb_preceding(op, affine, len(source.shape))
        else:
            change = transfer_of(op).absorb_following(op, affine, len(shape))
        if "bias" in change.weights:
            check_bias_axis(op.innermost, shape)
            if self.biased and op.innermost.weight("bias") is None:
                raise Refused(f"'{op.name}' has no bias")
        self.plan.changes[node] = (affine, before, change)


def _check_carries(node: Node, operands: list[Tensor]) -> None:
    """Raise Refused where a call may do something else than its layer usually does."""
    name, dtype = node.op.name, node.outputs[0].dtype
    if len(operands) != len(node.inputs):
        raise Refused(f"'{name}' is called with tensors by keyword, such as a mask")
    if node.runs_training:
        raise Refused(f"'{name}' is called with training=True")
    if any(x.dtype != dtype for x in operands):
        raise Refused(f"'{name}' returns {dtype}, and takes other dtypes")
