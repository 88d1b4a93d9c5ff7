"""How an affine leaves its place: up to the layers before it, or down to those after it.

A journey starts at one call that is an affine ``A`` and asks, call by call, what the transfers of
:mod:`kito.transfer` allow, until every path has ended at a layer that absorbs its share. It only
plans: nothing is changed before :meth:`Plan.carry_out`, so a journey that is refused leaves no
trace. It holds only where nobody else sees the tensors on its way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers

from kito.affine import LARGEST_SHIFT, Affine, Refused, check_range
from kito.nodes import Graph, Node, Op, Tensor
from kito.transfer import Change, Site, transfer_of
from kito.transfer.base import NotCarried, check_bias_axis

_LONGEST = 2000
"""Calls that one journey may look at: alternatives multiply where joins follow each other."""


class Affines:
    """The calls that are affines, as passes left them."""

    def __init__(self) -> None:
        self._known: dict[Node, Affine | None] = {}
        self.altered: set[Node] = set()

    def of(self, node: Node) -> Affine | None:
        """The affine that the call is; None where it is none.

        Raises:
            Refused: it may be one, or may not.
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
        """From now on the call is another affine; :func:`check_holds` has been asked."""
        self._known[node] = affine
        self.altered.add(node)


def check_movable(node: Node) -> None:
    """Raise Refused where the call cannot be taken away, whatever is around it."""
    source, result = node.data, node.outputs[0]
    assert source is not None
    if node.runs_training:
        raise Refused("it is called with training=True, and normalizes by the batch then")
    if node.graph.runs_training:
        raise Refused(f"model '{node.graph.model.name}' around it is called with training=True")
    if node.changes_mask:
        raise Refused("it is called with a mask of its own, which layers after it may heed")
    if result.dtype != source.dtype or result.shape != source.shape:
        raise Refused(
            f"it returns {result.dtype} of shape {result.shape}, from {source.dtype} of shape "
            f"{source.shape}"
        )


def check_holds(node: Node, affine: Affine) -> None:
    """Raise Refused where no ``Rescaling`` could do the work of ``affine`` at this call."""
    name = node.op.name
    if len(node.op.sites()) > 1:
        raise Refused(f"'{name}' is called at several places")
    if node.outputs[0].dtype != "float32":
        raise Refused(f"'{name}' computes in {node.outputs[0].dtype}")
    if keras.config.image_data_format() != "channels_last":
        raise Refused("Rescaling moves the axis of its arrays where images have channels first")
    for what, vector in (("scale", affine.scale), ("shift", affine.shift)):
        check_range(np.asarray(vector), what, "float32")


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
            if alike and set(nodes) == set(op.sites()):
                op.change(change.weights, change.config)
                continue
            for node in nodes:
                if len(node.op.innermost.sites()) > 1:
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
    """

    def __init__(
        self,
        affines: Affines,
        compose: bool = False,
        direct: bool = False,
        biased: bool = False,
    ) -> None:
        self.affines, self.compose, self.direct, self.biased = affines, compose, direct, biased
        self.plan = Plan()
        self._steps = 0

    def start(self, node: Node) -> None:
        """``node`` goes away, so nothing may come to rest there, or pass."""
        self._see(node)

    # ---- up ------------------------------------------------------------------------------------

    def up(self, tensor: Tensor, affine: Affine) -> None:
        """Plan for ``tensor`` to hold ``affine`` of what it holds now; raises Refused."""
        node, graph = tensor.node, tensor.node.graph
        if node.is_input:
            raise Refused(f"it reads the input '{node.op.name}'; there is no layer before it")
        _check_alone(graph, tensor)
        self._see(node)
        if self._rests(node, affine, before=False):
            return
        try:
            self._absorb(node, affine, before=False)
            return
        except Refused as refusal:
            if self.direct:
                raise
            try:
                site, operands = _site(node)
                ways = transfer_of(node.op).carry_up(node.op, affine, site)
            except NotCarried:
                raise refusal from None
            _check_carries(node, operands)
        self._take(ways, operands)

    def _take(self, ways: list[dict[int, Affine]], operands: list[Tensor]) -> None:
        """Go up the first of these ways that can be gone; raises Refused with the first reason."""
        refusal: Refused | None = None
        for way in ways:
            before = self.plan.copy()
            try:
                for i, affine in way.items():
                    if affine.cost or affine.adds:
                        self.up(operands[i], affine)
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
            site, operands = _site(user)
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
                self._take(across, operands)
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
        if node.graph.is_output(node.outputs[0]) and len(op.innermost.sites()) > 1:
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


def _check_alone(graph: Graph, tensor: Tensor) -> None:
    name = tensor.node.op.name
    if graph.is_output(tensor):
        raise Refused(f"the result of '{name}' before it is an output of the model")
    if len(tensor.users) > 1:
        others = ", ".join(dict.fromkeys(f"'{user.op.name}'" for user in tensor.users))
        raise Refused(f"the result of '{name}' is used {len(tensor.users)} times: {others}")


def _site(node: Node) -> tuple[Site, list[Tensor]]:
    """Where a call may let something through: its shapes, and the tensors that it takes."""
    if node.op.innermost.graph is not None or len(node.outputs) != 1:
        raise NotCarried(f"no affine can pass '{node.op.name}'")
    operands = [x for x in keras.tree.flatten(node.args) if isinstance(x, Tensor)]
    return Site(tuple(x.shape for x in operands), node.outputs[0].shape), operands


def _check_carries(node: Node, operands: list[Tensor]) -> None:
    """Raise Refused where a call may do something else than its layer usually does."""
    name, dtype = node.op.name, node.outputs[0].dtype
    if len(operands) != len(node.inputs):
        raise Refused(f"'{name}' is called with tensors by keyword, such as a mask")
    if node.runs_training:
        raise Refused(f"'{name}' is called with training=True")
    if any(x.dtype != dtype for x in operands):
        raise Refused(f"'{name}' returns {dtype}, and takes other dtypes")


def is_normalization(node: Node) -> bool:
    """Whether the call is one of a BatchNormalization."""
    return isinstance(node.op.innermost.layer, layers.BatchNormalization)


def check_size(node: Node, affine: Affine) -> None:
    """Raise Refused where a shift is so large that moving it down would lose digits.

    ``W (x + t)`` sums what is left after the addition, ``W x + W t`` sums large terms that cancel.
    BatchNormalization itself is computed as ``s * x + t``, and loses as much where it is.
    """
    if not is_normalization(node) and not np.all(np.abs(affine.shift) <= LARGEST_SHIFT):
        largest = float(np.max(np.abs(affine.shift)))
        raise Refused(f"its shift, up to {largest:.3g}, would cost digits after a kernel")
