"""How an affine leaves its place: hoisted to the layers before it, or sunk into those after it.

A propagation starts at one call that is an affine ``A``. Call by call it asks the transfers of
:mod:`kito.rewrite.transfer` what they allow, until each path ends at a layer that absorbs its share
of ``A``. It only plans: nothing changes before :meth:`kito.rewrite.plan.Plan.apply`, so a refused
propagation leaves no trace. Tensors on the way must have no other user: one that reads ``x`` where
``A(x)`` was, or the reverse, would compute something else.
"""

from __future__ import annotations

import keras

from kito.graph.ir import Node, Tensor
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import Affines, check_changeable, check_holds, check_movable
from kito.rewrite.plan import Absorption, Plan
from kito.rewrite.transfer import Site, transfer_of
from kito.rewrite.transfer.preconditions import check_bias_axis
from kito.rewrite.transfer.protocol import NotCarried

_MOST_VISITS = 2000
"""Calls that one propagation may visit: alternatives multiply where joins follow each other."""


class Propagation:
    """One attempt to move an affine, or several at once, into other layers.

    Args:
        affines: the calls that are affines.
        compose: whether it may be composed with another affine on its way.
        direct: whether only the layer just before it may absorb it.
        biased: whether only layers that have a bias already may absorb a shift.
        streams: whether a shift may be hoisted above a tensor with other users, each of which
            subtracts it again; so ``x + t`` can be carried by the residual stream ``x``.
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
        self._visits = 0

    def start(self, node: Node) -> None:
        """Start at ``node``, whose affine is to move: no path may come back to it."""
        self._visit(node)

    # ---- hoist ---------------------------------------------------------------------------------

    def hoist(self, tensor: Tensor, affine: Affine, user: Node) -> None:
        """Plan for ``tensor`` to become ``affine(tensor)``, as ``user`` needs it.

        Other users of the tensor, if any, get the inverse.

        Raises:
            Refused: some layer on the way allows no such change.
        """
        node = tensor.node
        if node.is_input:
            raise Refused(f"it reads the input '{node.op.name}'; there is no layer before it")
        others = self._other_users(tensor, affine, user)
        self._visit(node)
        for other in others:
            self._visit(other)
            self._sink_into(other, tensor, affine.negated())
        if self._compose(node, affine, precedes=False):
            return
        try:
            self._absorb(node, affine, precedes=False)
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
        self._hoist_first(ways, operands, node)

    def _other_users(self, tensor: Tensor, affine: Affine, user: Node) -> list[Node]:
        """The users of ``tensor`` besides ``user``; raises Refused where none are allowed."""
        name = tensor.node.op.name
        if tensor.node.graph.is_output(tensor):
            raise Refused(f"the result of '{name}' before it is an output of the model")
        others = [x for x in dict.fromkeys(tensor.users) if x is not user]
        once = len(others) == len(tensor.users) - 1
        if others and not (once and self.streams and not affine.scales):
            names = ", ".join(dict.fromkeys(f"'{x.op.name}'" for x in tensor.users))
            raise Refused(f"the result of '{name}' is used {len(tensor.users)} times: {names}")
        return others

    def _hoist_first(
        self, ways: list[dict[int, Affine]], operands: list[Tensor], user: Node
    ) -> None:
        """Hoist by the first of the alternatives ``ways`` that is allowed.

        Raises:
            Refused: none is; the reason is that of the first.
        """
        refusal: Refused | None = None
        for way in ways:
            before = self.plan.copy()
            try:
                for i, affine in way.items():
                    if affine.cost or affine.adds:
                        self.hoist(operands[i], affine, user)
                return
            except Refused as reason:
                # A traceback would keep this frame alive, and every kernel that was tried.
                self.plan, refusal = before, refusal or reason.with_traceback(None)
        raise refusal or Refused("no other operand can absorb it")

    # ---- sink ----------------------------------------------------------------------------------

    def sink(self, tensor: Tensor, affine: Affine) -> None:
        """Plan for ``tensor`` to become what it is before ``affine``, which its users absorb.

        Raises:
            Refused: some layer on the way allows no such change.
        """
        graph = tensor.node.graph
        if graph.is_output(tensor):
            raise Refused(f"the result of '{tensor.node.op.name}' is an output of the model")
        for user in dict.fromkeys(tensor.users):
            self._visit(user)
            try:
                change = transfer_of(user.op).absorb_operands(user, tensor, affine)
            except NotCarried:
                if tensor.users.count(user) > 1:
                    raise Refused(f"'{user.op.name}' takes it more than once") from None
                self._sink_into(user, tensor, affine)
            else:
                check_changeable(user.op)
                self.plan.absorptions[user] = Absorption(affine, precedes=True, change=change)

    def _sink_into(self, user: Node, tensor: Tensor, affine: Affine) -> None:
        """Plan for one user of ``tensor`` to absorb ``affine``, or to let it pass."""
        if user.data is tensor:
            if self._compose(user, affine, precedes=True):
                return
            try:
                self._absorb(user, affine, precedes=True)
                return
            except Refused as reason:
                refusal = reason.with_traceback(None)  # as in _hoist_first
        else:
            refusal = Refused(
                f"'{user.op.name}' ({user.op.type_name}) takes it as one of several inputs"
            )
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
                self._hoist_first(across, operands, user)
                return
            except Refused:
                self.plan = before
        self.sink(user.outputs[0], passed)

    # ---- both ----------------------------------------------------------------------------------

    def _visit(self, node: Node) -> None:
        self._visits += 1
        if node in self.plan.visited:
            raise Refused(f"it would reach '{node.op.name}' on two paths")
        if self._visits > _MOST_VISITS:
            raise Refused("its paths branch and join too often to follow them all")
        self.plan.visited.add(node)

    def _site(self, node: Node) -> tuple[Site, list[Tensor]]:
        """The shapes at a call that may let an affine pass, and the tensors that it takes.

        Raises:
            NotCarried: no affine can pass.
        """
        # A call that was composed with an affine no longer computes what its layer does.
        altered = node in self.affines.altered or node in self.plan.composed
        if altered or node.op.innermost.graph is not None or len(node.outputs) != 1:
            raise NotCarried(f"no affine can pass '{node.op.name}'")
        operands = node.operands
        return Site(tuple(x.shape for x in operands), node.outputs[0].shape), operands

    def _compose(self, node: Node, affine: Affine, precedes: bool) -> bool:
        """Plan for the call, if it is an affine itself, to become both; returns whether it is."""
        if not self.compose:
            return False
        here = self.affines.of(node)
        if here is None:
            return False
        check_movable(node)
        together = affine.then(here) if precedes else here.then(affine)
        check_holds(node, together)
        self.plan.composed[node] = together
        return True

    def _absorb(self, node: Node, affine: Affine, precedes: bool) -> None:
        """Plan for the layer of a call to absorb an affine before or after it; raises Refused."""
        op, shape = node.op, node.outputs[0].shape
        if not isinstance(op.layer, keras.layers.Layer):
            raise Refused(f"no affine can be folded into the operation '{op.name}'")
        if op.innermost.graph is not None:
            verb = "feeds" if precedes else "follows"
            raise Refused(f"it {verb} model '{op.name}', whose layers other calls may use")
        check_changeable(op)
        if node.graph.is_output(node.outputs[0]) and len(op.innermost.calls()) > 1:
            raise Refused(f"'{op.name}' names an output of the model, and is called elsewhere too")
        source = node.data
        if precedes:
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
        self.plan.absorptions[node] = Absorption(affine, precedes, change)


def _check_carries(node: Node, operands: list[Tensor]) -> None:
    """Raise Refused where the arguments of a call may change what its layer computes."""
    name, dtype = node.op.name, node.outputs[0].dtype
    if len(operands) != len(node.inputs):
        raise Refused(f"'{name}' is called with tensors by keyword, such as a mask")
    if node.runs_training:
        raise Refused(f"'{name}' is called with training=True")
    if any(x.dtype != dtype for x in operands):
        raise Refused(f"'{name}' returns {dtype}, and takes other dtypes")
