"""Fold per-channel affines into the layers around them, near or far.

Identity, for a layer that is linear but for its bias, and ``A(x) = s * x + t`` per channel:
``A(W x + b) = (s W) x + (s b + t)`` after it, and ``W A(x) + b = (W s) x + (b + W t)`` before it.
BatchNormalization in inference is such an ``A``, with
``s = gamma / sqrt(moving_variance + epsilon)`` and ``t = beta - s * moving_mean``. Between ``A``
and the layer there may be what lets ``A`` through.

Each affine goes, whole, up or down; else with its scale one way and its shift the other; else one
of the two goes, where the other can stay as a ``Rescaling``; else another affine takes it in. What
is left of a BatchNormalization becomes a ``Rescaling`` with its two vectors. A bias travels like a
shift where that makes one fewer: ``(U x + a) + (V y + b) = U x + (V y + (a + b))``.

``A = s * x + t = s * (x + t / s)``: the scale is first, and nearer to what comes before; or the
shift is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Op
from kito.graph.keras_internals import all_layers
from kito.rewrite.affine import Affine, Refused
from kito.rewrite.legality import (
    Affines,
    check_holds,
    check_movable,
    check_size,
    fits_stream,
    is_normalization,
)
from kito.rewrite.outcome import Kept, Outcome, Rewrite
from kito.rewrite.passes.fold_affine.equal_terms import replace_equal_sums
from kito.rewrite.propagation import Journey
from kito.rewrite.transfer import transfer_of

_KITO_TYPES = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)

Part = Affine | None


def run(graph: Graph) -> Outcome:
    """Fold every affine of ``graph``, and of the models nested in it, that can be folded."""
    folding = _Folding(graph, "fold_affine", _judge)
    for inner in graph.graphs():
        folding.outcome.rewrites += replace_equal_sums(inner, "fold_affine")
    folding.run()
    folding.precompute()
    folding.move_biases()
    return folding.outcome


def run_batchnorm(graph: Graph) -> Outcome:
    """Fold as KITO 1.0.5 did: BatchNormalization after a convolution that is called once."""
    folding = _Folding(graph, "fold_batchnorm", _judge_as_kito)
    folding.run()
    return folding.outcome


class _Folding:
    """One run over a graph.

    Args:
        graph: the outermost graph.
        pass_name: for the rewrites.
        judge: takes one affine away if it can, and returns the name of who has it then; raises
            Refused with the reason why not; None where the call is not its business.
    """

    def __init__(
        self, graph: Graph, pass_name: str, judge: Callable[[Affines, Node], _Verdict | None]
    ) -> None:
        self.graph, self.pass_name, self.judge = graph, pass_name, judge
        self.affines = Affines()
        self.outcome = Outcome()
        self.kept: dict[object, Kept] = {}  # by what is kept: names repeat in nested models
        self.gone_parts: dict[Op, list[str]] = {}

    def run(self) -> None:
        """Sweep until nothing moves: what one affine leaves may free the way of another."""
        moved = True
        while moved:
            moved = False
            self.kept.clear()
            for inner in self.graph.graphs():
                for node in list(inner.nodes):
                    while node in inner.nodes and self._visit(node):
                        moved = True
        self.outcome.kept = self.kept

    def _visit(self, node: Node) -> bool:
        """Whether something was done."""
        op = node.op.innermost
        name = node.op.name
        try:
            verdict = self.judge(self.affines, node)
        except Refused as refusal:
            reason = "; ".join([*self.gone_parts.get(op, []), str(refusal)])
            self.kept.setdefault(op, Kept(name, reason))
            return False
        if verdict is None:
            self.kept.update(_closed(op))
            return False
        if verdict.gone:
            self.outcome.rewrites.append(Rewrite(self.pass_name, (name,), verdict.into))
        else:
            part = f"its {verdict.part} went into {verdict.into}"
            self.gone_parts.setdefault(op, []).append(part)
        return True

    def move_biases(self) -> None:
        """Let a bias that another one can take in go: of two that feed a sum, say."""
        for inner in self.graph.graphs():
            for node in list(inner.nodes):
                try:
                    into = _move_bias(self.affines, node)
                except Refused:
                    continue
                if into is not None:
                    self.outcome.rewrites.append(Rewrite(self.pass_name, (), into))

    def precompute(self) -> None:
        """Let ``Rescaling`` layers do what is left, with vectors that are computed once."""
        for inner in self.graph.graphs():
            for node in list(inner.nodes):
                if node in self.affines.altered:
                    self._precompute(inner, node)
                elif is_normalization(node) and node.op.innermost in self.kept:
                    with contextlib.suppress(Refused):  # else it stays as it is
                        self._precompute(inner, node)

    def _precompute(self, graph: Graph, node: Node) -> None:
        old, source = node.op.innermost, node.data
        check_movable(node)
        affine = self.affines.of(node)
        assert affine is not None
        assert source is not None
        check_holds(node, affine)
        graph.call_layer(node, _rescaling(node, affine), source)
        kept = self.kept.pop(old)
        if isinstance(old.layer, layers.BatchNormalization):
            self.outcome.precomputed.append(node.op)
            kept = Kept(kept.layer, f"{kept.reason}; a Rescaling has its two vectors now")
        self.kept[node.op] = kept


class _Verdict:
    """What was done about an affine.

    Attributes:
        into: who has it, or its part, now.
        part: which part went, None where it is gone as a whole.
    """

    def __init__(self, into: str | None, part: str | None = None) -> None:
        self.into, self.part, self.gone = into, part, part is None


def _judge(affines: Affines, node: Node) -> _Verdict | None:
    scaled = _scaled_operand(affines, node)
    if scaled is not None:
        return scaled
    affine = affines.of(node)
    if affine is None:
        return None
    check_movable(node)
    if affine.axis == 0:
        raise Refused("it works along the batch")
    if not affine.cost and not node.graph.is_output(node.outputs[0]):
        node.graph.bypass(node)
        return _Verdict(None)
    reasons = []
    for compose in (False, True):
        for up, down, rest, part in _options(affine):
            if rest is not None and compose:
                continue
            try:
                into = _go(affines, node, up, down, rest, compose)
            except Refused as refusal:
                whole = part is None and (up is None or down is None)
                reasons += [str(refusal)] if whole and not compose else []
            else:
                return _Verdict(into, part)
    raise Refused("; and it cannot go down: ".join(dict.fromkeys(reasons)))


def _options(affine: Affine) -> Iterator[tuple[Part, Part, Part, str | None]]:
    """What goes up, what goes down, what stays, and the name of the part that went."""
    yield affine, None, None, None
    yield None, affine, None, None
    if affine.cost < 2:
        return
    scale, shift = affine.only_scale(), affine.only_shift()
    try:
        first = affine.shift_first()
    except Refused:
        first = None
    yield scale, shift, None, None
    if first is not None:
        yield first, scale, None, None
    yield scale, None, shift, "scale"
    yield None, shift, scale, "shift"
    if first is not None:
        yield None, scale, first, "scale"
        yield first, None, scale, "shift"


def _go(
    affines: Affines, node: Node, up: Part, down: Part, rest: Part, compose: bool
) -> str | None:
    """Take a call away, with all other calls of its layer if they can all go, or alone."""
    if rest is not None:
        check_holds(node, rest)
    own = affines.of(node)
    assert own is not None
    # The others may have their channels on another axis, or a part of them may be gone.
    others = [x for x in node.op.nodes if (its := affines.of(x)) is not None and its.same_as(own)]
    groups = [others, [node]] if len(others) > 1 else [[node]]
    for group in groups:
        streams = up is not None and all(fits_stream(affines, x, up) for x in group)
        journey = Journey(affines, compose, streams=streams)
        try:
            for member in group:
                _plan(journey, member, up, down)
        except Refused:
            if group is groups[-1]:
                raise
            continue
        into = journey.plan.carry_out(affines)
        for member in group:
            if rest is None:
                member.graph.bypass(member)
            else:
                affines.alter(member, rest)
        break
    return into


def _plan(journey: Journey, node: Node, up: Part, down: Part) -> None:
    check_movable(node)
    source, result = node.data, node.outputs[0]
    assert source is not None
    if node.graph.is_output(result) and len(node.op.calls()) > 1:
        raise Refused("it names an output of the model, and is called elsewhere too")
    journey.start(node)
    if up is not None:
        journey.up(source, up, node)
    if down is not None:
        check_size(node, down)
        journey.down(result, down)


def _scaled_operand(affines: Affines, node: Node) -> _Verdict | None:
    """A scaled sum becomes a plain one where its scale goes up from its operand."""
    found = transfer_of(node.op).scaled_operand(node.op)
    if found is None:
        return None
    index, affine = found
    operands = node.inputs
    if len({x.shape for x in operands}) > 1 or any(x.mask is not None for x in operands):
        raise Refused("it adds tensors of different shapes, or drops a mask")
    journey = Journey(affines)
    journey.start(node)
    journey.up(operands[index], affine, node)
    into = journey.plan.carry_out(affines)
    plain = layers.Add(name=node.op.name, dtype=node.op.layer.dtype_policy)
    node.graph.call_layer(node, plain, operands)
    return _Verdict(into)


def _move_bias(affines: Affines, node: Node) -> str | None:
    """The names of the layers that add the bias of this one now; None where it has none."""
    op, source = node.op, node.data
    if source is None or op.innermost.graph is not None or len(op.innermost.calls()) > 1:
        return None
    result = node.outputs[0]
    shift = transfer_of(op).own_shift(op, len(result.shape))
    if shift is None or not shift.shifts or op.layer.compute_dtype != result.dtype:
        return None
    check_size(node, shift)
    journey = Journey(affines, biased=True)
    journey.start(node)
    journey.down(result, shift)
    into = journey.plan.carry_out(affines)
    op.innermost.change({"bias": None}, {"use_bias": False})
    return into


def _judge_as_kito(affines: Affines, node: Node) -> _Verdict | None:
    affine = affines.of(node) if is_normalization(node) else None
    if affine is None:
        return None
    check_movable(node)
    source = node.data
    assert source is not None
    journey = Journey(affines, direct=True)
    _plan(journey, node, affine, None)
    producer = source.node.op
    if type(producer.layer) not in _KITO_TYPES:
        raise Refused(f"fold_batchnorm does not fold into '{producer.name}' ({producer.type_name})")
    if len(producer.calls()) > 1:
        raise Refused(f"fold_batchnorm leaves '{producer.name}' alone: it is called several times")
    into = journey.plan.carry_out(affines)
    node.graph.bypass(node)
    return _Verdict(into)


def _closed(op: Op) -> dict[object, Kept]:
    """The normalizations inside a layer that is no graph to us."""
    if op.graph is not None or not isinstance(op.layer, layers.Layer):
        return {}
    why = "" if op.closed is None else f": {op.closed}"
    where = f"it is inside '{op.name}' ({op.type_name}), a closed layer{why}"
    return {
        (op, layer): Kept(layer.name, where)
        for layer in all_layers(op.layer)
        if isinstance(layer, layers.BatchNormalization)
    }


def _rescaling(node: Node, affine: Affine) -> layers.Layer:
    """A layer of the same name that is ``affine`` in float32."""
    rank = len(node.outputs[0].shape)
    behind = 0 if affine.axis is None else rank - 1 - affine.axis

    def constant(vector: np.ndarray) -> float | np.ndarray:
        if np.all(vector == vector[0]):
            return float(np.float32(vector[0]))
        return vector.astype(np.float32).reshape(-1, *[1] * behind)

    return layers.Rescaling(
        constant(affine.scale), constant(affine.shift), name=node.op.name, dtype="float32"
    )
