"""One sweep over a model: every composite layer that can be inlined is inlined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from kito.graph.functional import as_functional
from kito.graph.ir import Graph, Op
from kito.graph.keras_internals import all_layers
from kito.graph.limits import Limit, Limits
from kito.graph.names import free_name, within
from kito.graph.read import Ops, read_graph
from kito.rewrite.inline.body import read_body
from kito.rewrite.inline.commit import adopt, splice
from kito.rewrite.inline.composites import holds_affine, is_composite, is_promising
from kito.rewrite.inline.reasons import CannotOpen, StaysClosed
from kito.rewrite.inline.verify import Samples
from kito.rewrite.transfer.registry import can_be_affine


@dataclass(frozen=True)
class Inlined:
    """A model that was read, with its composite layers inlined.

    Attributes:
        graph: its calls, those in inlined layers included.
        names: the names of the layers that were inlined, in order.
        closed: the layers that stay closed although there is an affine in them.
    """

    graph: Graph
    names: tuple[str, ...]
    closed: tuple[Op, ...] = ()


def read_inlined(
    model: Any,
    example_inputs: Any = None,
    only_model: bool = False,
    limits: Limits | None = None,
) -> Inlined:
    """Read a model of any kind, and inline its composite layers.

    Args:
        model: a functional or Sequential model, or a subclassed one that was built.
        example_inputs: a batch of inputs, for a subclassed model that was not built.
        only_model: whether to inline only the model itself, where it is subclassed.
        limits: what earlier attempts have found out.

    Raises:
        CannotOpen: the model is subclassed, and cannot be inlined.
        UnsupportedModelError: the model cannot be read.
    """
    view = as_functional(model, example_inputs)
    graph = read_graph(view)
    sweep = _Sweep(graph, limits or Limits())
    if view is not model:
        (node,) = (x for x in graph.nodes if not x.is_input)
        if sweep.inline(node.op, whole=True) is None:
            raise CannotOpen(node.op)
        # The outputs have no names to keep: no layer of the given model itself made them.
        graph.model, graph.output_names = model, []
    if view is not model or not only_model:
        sweep.run()
    for op in {node.op.innermost for inner in graph.graphs() for node in inner.nodes}:
        op.fixed = sweep.limits.reason(Limit.FIXED, op.layer)
    return Inlined(graph, tuple(sweep.names), tuple(sweep.closed))


class _Sweep:
    def __init__(self, graph: Graph, limits: Limits) -> None:
        self.graph, self.limits = graph, limits
        self.ops: Ops = {id(op.layer): op for inner in graph.graphs() for op in _ops(inner)}
        self.final_names: set[Op] = set(self.ops.values())
        self.names: list[str] = []
        self.closed: list[Op] = []
        self.samples = Samples(graph)

    def run(self) -> None:
        """Inline every layer that can be, and then those inside."""
        seen: set[Op] = set()
        affines_outside = any(
            can_be_affine(type(op.layer)) for x in self.graph.graphs() for op in _ops(x)
        )
        waiting = list(dict.fromkeys(op for x in self.graph.graphs() for op in _ops(x)))
        while waiting:
            op = waiting.pop(0).innermost
            if op.graph is not None and op not in seen:  # one inside of an inlined layer, say
                seen.add(op)
                waiting[:0] = _ops(op.graph)
            # A layer that was inlined may be called again inside of another.
            if op.closed is not None or not op.calls() or not is_composite(op.layer):
                continue
            model = isinstance(op.layer, keras.Model)
            if not (model or is_promising(op.layer, affines_outside)):
                continue
            inner = self.inline(op)
            if inner is None:
                if holds_affine(op.layer):
                    self.closed.append(op)
                continue
            self.names += [] if op.name in self.names else [op.name]
            waiting[:0] = inner

    def inline(self, op: Op, whole: bool = False) -> list[Op] | None:
        """Inline all calls of ``op``, or none of them.

        Args:
            op: that of a composite layer or a subclassed model.
            whole: whether it is the whole model.

        Returns:
            The ops of the calls that took the place of those of ``op``; None where it stays closed.
        """
        calls = list(op.nodes)
        scratch: Ops = {}
        try:
            if op.wrappers:
                raise StaysClosed(f"'{op.wrappers[0].name}' wraps it")
            for layer in all_layers(op.layer):
                if (reason := self.limits.reason(Limit.CLOSED, layer)) is not None:
                    raise StaysClosed(reason)
            bodies = [read_body(node, scratch, self.samples) for node in calls]
        except StaysClosed as reason:
            op.closed = str(reason)
            return None
        adopt(scratch, self.ops)
        inner: dict[Op, None] = {}
        for node, body in zip(calls, bodies, strict=True):
            inner.update(dict.fromkeys(x.op for x in splice(node, body)))
        self._name(inner, None if whole else op.name)
        return list(inner)

    def _name(self, inlined: Iterable[Op], owner: str | None) -> None:
        """Put the owner's name before those of new ops; names are unique in a Keras model."""
        taken = {x.name for inner in self.graph.graphs() for x in _ops(inner) if x not in inlined}
        for op in inlined:
            if op in self.final_names:
                continue
            self.final_names.add(op)
            op.name = free_name(op.name if owner is None else within(owner, op.name), taken)
            taken.add(op.name)


def _ops(graph: Graph) -> Iterator[Op]:
    return iter(dict.fromkeys(node.op for node in graph.nodes))
