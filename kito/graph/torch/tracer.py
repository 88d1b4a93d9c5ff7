"""The tracer of ``torch.fx``, with what it needs to trace more of the usual forwards.

It records what ``torch.fx`` alone cannot trace, although it is the same for all inputs: assertions,
``max`` and ``min`` of sizes (the padding of TensorFlow's "same" in PyTorch, say), and control flow
by numbers of axes.
"""

from __future__ import annotations

import builtins
import dis
import linecache
import operator
import sys
from collections import ChainMap, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import FrameType
from typing import Any

import torch
from torch import fx, nn
from torch.fx.proxy import Attribute

from kito.graph.torch.ranks import Ranks, RankUnknown

GUARD = "kito_guard"
"""The key in ``meta`` of an assertion that was added, and that has to stay."""


class Tracer(fx.Tracer):  # type: ignore[misc]
    """Records calls; modules in ``closed`` and those with hooks are one call each.

    Args:
        closed: the paths of modules that are not traced, and why.
        inputs: the positional arguments of the example.

    Attributes:
        failed: the path of the innermost module in which the trace failed; None if in the root.
        hooked: the modules with hooks, by path, and the reason why they are not traced.
    """

    def __init__(self, closed: dict[str, str], inputs: tuple[Any, ...]) -> None:
        super().__init__(autowrap_functions=(max, min))
        self._autowrap_search.append(builtins)  # where these two are
        self.closed, self.inputs = closed, inputs
        self.failed: str | None = None
        self.hooked: dict[str, str] = {}
        self._ranks: Ranks | None = None

    def trace(self, root: nn.Module, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        graph = super().trace(root, concrete_args)
        if self._ranks is not None and self._ranks.asked:
            _guard_ranks(graph, self.inputs)
        return graph

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if has_hooks(m):
            self.hooked[module_qualified_name] = "it has hooks"
            return True
        return module_qualified_name in self.closed or bool(
            super().is_leaf_module(m, module_qualified_name)
        )

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            if self.failed is None:
                self.failed = self.path_of_module(m)
            raise

    def create_arg(self, a: Any) -> Any:
        """What a call takes, or the forward returns; ``torch.fx`` alone makes plain dicts."""
        if type(a) is OrderedDict:
            items = [(key, self.create_arg(value)) for key, value in a.items()]
            return self.create_node("call_function", OrderedDict, (items,), {})
        kind: Any = type(a)
        if isinstance(a, dict) and is_dataclass(kind):
            values = {x.name: self.create_arg(getattr(a, x.name)) for x in fields(kind)}
            return self.create_node("call_function", kind, (), values)
        return super().create_arg(a)

    # ---- control flow --------------------------------------------------------------------------

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    @property
    def ranks(self) -> Ranks:
        """The numbers of axes of the tensors so far."""
        if self._ranks is None:
            closed = ChainMap(self.closed, self.hooked)  # with what the trace meets later
            self._ranks = Ranks(self.root, self.graph, self.inputs, closed)
        return self._ranks

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Where control flow by ``obj`` goes, or must go for an assertion to hold."""
        frame = sys._getframe(2)  # of what asks: the frames between are this one and __bool__
        expected = _asserted(frame)
        if expected is not None:
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            holds = obj
            if not expected:
                holds = self.create_proxy("call_function", operator.not_, (obj,), {})
            self.create_proxy("call_function", torch._assert, (holds, line or "assertion"), {})
            return expected
        try:
            return bool(self.ranks.value(obj.node))
        except RankUnknown:
            return bool(super().to_bool(obj))

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        try:
            return iter([obj[i] for i in range(self.ranks.length(obj.node))])
        except RankUnknown:
            found: Iterator[Any] = super().iter(obj)
            return found


class _Known:
    """What a proxy can tell without values."""

    tracer: Tracer
    node: fx.Node

    def __len__(self) -> int:
        try:
            return self.tracer.ranks.length(self.node)
        except RankUnknown as error:
            raise RuntimeError(f"the length is not known: {error}") from error

    def __index__(self) -> int:
        try:
            return operator.index(self.tracer.ranks.value(self.node))
        except RankUnknown as error:
            raise TypeError(f"the number is not known: {error}") from error


class _Proxy(_Known, fx.Proxy):  # type: ignore[misc]
    def __getattr__(self, k: str) -> Attribute:
        return _Attribute(self, k)


class _Attribute(_Known, Attribute):  # type: ignore[misc]
    def __getattr__(self, k: str) -> Attribute:
        return _Attribute(self, k)


def has_hooks(module: nn.Module) -> bool:
    """Whether calling the module runs hooks, as those of the old ``weight_norm``."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _asserted(frame: FrameType) -> bool | None:
    """What the condition that a frame asks for must be for an assertion to hold; None without one.

    Python compiles an assertion to a jump, over or to the instruction that raises.
    """
    code = [
        x for x in dis.get_instructions(frame.f_code) if x.opname not in ("TO_BOOL", "NOT_TAKEN")
    ]
    at = next((i for i, x in enumerate(code) if x.offset >= frame.f_lasti), len(code))
    if at + 1 >= len(code) or "JUMP" not in code[at].opname or "_IF_" not in code[at].opname:
        return None
    jump, on_true = code[at], code[at].opname.endswith("_IF_TRUE")
    if _raises(code[at + 1]):
        return on_true
    target = next((x for x in code if x.offset == jump.argval), None)
    return not on_true if target is not None and _raises(target) else None


def _raises(instruction: dis.Instruction) -> bool:
    return instruction.opname == "LOAD_ASSERTION_ERROR" or instruction.argval is AssertionError


def _guard_ranks(graph: fx.Graph, inputs: tuple[Any, ...]) -> None:
    """Add assertions that the arguments have as many axes as the example."""
    places = [x for x in graph.nodes if x.op == "placeholder"]
    first = next(x for x in graph.nodes if x.op != "placeholder")
    with graph.inserting_before(first):
        for place, example in zip(places, inputs, strict=False):
            if isinstance(example, torch.Tensor) and not str(place.target).startswith("*"):
                rank = graph.call_function(getattr, (place, "ndim"))
                same = graph.call_function(operator.eq, (rank, example.ndim))
                what = f"'{place.target}' must have {example.ndim} axes, as in example_inputs"
                graph.call_function(torch._assert, (same, what)).meta[GUARD] = True
