"""Run a traced module on inputs, and record the tensors: shapes, dtypes, aliases, and mutations.

A second run with another batch size tells which tensors hold one sample per element of axis 0.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from kito.errors import summarize
from kito.graph.torch.same import find_difference
from kito.graph.torch.trace import NotTraced, Trace, memory_of


@dataclass(frozen=True)
class Spec:
    """A tensor in a run.

    Attributes:
        shape: its shape; axis 0 is None, because the batch may be any.
        dtype: as Keras names it, such as "float32".
        batched: whether axis 0 is the batch, and the other axes do not depend on it.
    """

    shape: tuple[int | None, ...]
    dtype: str
    batched: bool


@dataclass
class Record:
    """What a run tells about the calls of a trace.

    Attributes:
        specs: the tensor that each call returned; a call that returned something else has none.
        mutated: for each call, which of its arguments it changed in place.
        aliases: for each call, which of its arguments may share the memory of its result.
        changed: the paths of the parameters and buffers that the run changed.
    """

    specs: dict[fx.Node, Spec] = field(default_factory=dict)
    mutated: dict[fx.Node, list[fx.Node]] = field(default_factory=dict)
    aliases: dict[fx.Node, list[fx.Node]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


def run_inputs(module: Any, inputs: tuple[Any, ...]) -> Any:
    """What ``module`` returns for copies of ``inputs``, without gradients and with a fixed seed."""
    devices = list(range(torch.cuda.device_count()))
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        return module(*copy_inputs(inputs))


def copy_inputs(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same structure with copies of the tensors, which the module may change."""
    copied: tuple[Any, ...] = pytree.tree_map(
        lambda x: x.detach().clone() if isinstance(x, torch.Tensor) else x, inputs
    )
    return copied


def other_batch(inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The inputs with another number of samples; None where they have no one batch."""
    tensors = [x for x in pytree.tree_leaves(inputs) if isinstance(x, torch.Tensor)]
    sizes = {x.shape[0] if x.ndim else 0 for x in tensors}
    if len(sizes) != 1 or not (batch := sizes.pop()):
        return None
    index = torch.arange(_other(batch)) % batch
    changed: tuple[Any, ...] = pytree.tree_map(
        lambda x: x.detach()[index.to(x.device)] if isinstance(x, torch.Tensor) else x, inputs
    )
    return changed


def _other(batch: int) -> int:
    return 5 if batch == 3 else 3


def record(trace: Trace, inputs: tuple[Any, ...]) -> Record:
    """Run the calls of ``trace`` on ``inputs``, and again on another number of samples.

    Raises:
        NotTraced: a tensor that was changed in place is used later, so that the order of the calls
            matters; or the calls do not return what the module does.
    """
    module = fx.GraphModule(trace.root, trace.graph)
    try:
        expected = run_inputs(trace.root, inputs)
    except Exception as error:  # of a part that needs more than its positional arguments
        raise NotTraced(f"it cannot be run alone: {summarize(error)}") from error
    first = _Recorder(module)
    try:
        traced = run_inputs(first.run, inputs)
    except Exception as error:  # of calls that another branch of the forward would have made
        raise NotTraced(f"what torch.fx traced cannot be run: {summarize(error)}") from error
    problem = find_difference(expected, _plain(traced))
    if problem:
        raise NotTraced(f"what torch.fx traced does something else: {problem}")
    more = other_batch(inputs)
    shapes: dict[fx.Node, tuple[int, ...]] = {}
    if more is not None:
        again = _Recorder(module)
        try:
            run_inputs(again.run, more)
            shapes = again.shapes
        except Exception:  # the module takes this batch size only
            shapes = {}
    result = first.record
    batch = next((x.shape[0] for x in pytree.tree_leaves(inputs) if _has_batch(x)), 0)
    for node, shape in first.shapes.items():
        expected = (_other(batch), *shape[1:]) if shape[:1] == (batch,) else None
        batched = expected is not None and shapes.get(node) == expected
        wide = (None, *shape[1:]) if shape else ()
        result.specs[node] = Spec(wide, first.dtypes[node], batched)
    _check_state(trace.graph, result)
    _check_order(trace.graph, result)
    return result


def _plain(value: Any) -> Any:
    """A structure with plain lists and dicts in the place of those of ``torch.fx``."""
    if type(value) is OrderedDict:
        return OrderedDict((key, _plain(x)) for key, x in value.items())
    if isinstance(value, dict) and type(value).__module__.startswith("torch.fx"):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, list) and type(value).__module__.startswith("torch.fx"):
        return [_plain(x) for x in value]
    return tuple(_plain(x) for x in value) if type(value) is tuple else value


def _check_state(graph: fx.Graph, result: Record) -> None:
    """Raise NotTraced where the run changed other weights than those inside of modules it calls."""
    used = {str(x.target) for x in graph.nodes if x.op == "get_attr"}
    called = {f"{x.target}." for x in graph.nodes if x.op == "call_module"}
    for name in sorted(result.changed):
        if name in used or not any(name.startswith(x) for x in called):
            raise NotTraced(f"it changes its own '{name}'")


def _has_batch(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.ndim > 0


class _Recorder(fx.Interpreter):  # type: ignore[misc]
    """Runs the calls of a graph one by one."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.record = Record()
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}
        self.dtypes: dict[fx.Node, str] = {}

    def run(self, *args: Any, **kwargs: Any) -> Any:
        held = dict((*self.module.named_parameters(), *self.module.named_buffers()))
        before = {name: x._version for name, x in held.items()}
        result = super().run(*args, **kwargs)
        self.record.changed = {name for name, x in held.items() if x._version != before[name]}
        return result

    def run_node(self, n: fx.Node) -> Any:
        given = [(x, self.env[x]) for x in n.all_input_nodes]
        before = [_versions(value) for _, value in given]
        result = super().run_node(n)
        changed = [
            x
            for (x, value), old in zip(given, before, strict=True)
            if _versions(value)[: len(old)] != old
        ]
        if changed:
            self.record.mutated[n] = changed
        made = {memory_of(x) for x in _tensors(result)}
        shared = [x for x, value in given if made & {memory_of(t) for t in _tensors(value)}]
        if shared or _may_alias(n, self.module):
            self.record.aliases[n] = shared if not _may_alias(n, self.module) else n.all_input_nodes
        if isinstance(result, torch.Tensor):
            self.shapes[n] = tuple(result.shape)
            dtype = str(result.dtype).removeprefix("torch.")
            self.dtypes[n] = dtype if dtype in _DTYPES else "bool"  # no description takes that
        return result


_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")
_VIEWS = (
    *("reshape", "contiguous", "flatten", "to", "expand_as", "type", "type_as", "view_as"),
    *("float", "double", "half", "bfloat16", "cpu", "cuda"),
)
"""Functions that return their argument or a copy, depending on its memory and dtype."""


def _may_alias(n: fx.Node, module: fx.GraphModule) -> bool:
    if n.op == "call_module":
        return isinstance(module.get_submodule(str(n.target)), nn.Flatten | nn.Unflatten)
    name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
    return n.op in ("call_function", "call_method") and name in _VIEWS


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    return (x for x in pytree.tree_leaves(value) if isinstance(x, torch.Tensor))


def _versions(value: Any) -> list[int]:
    return [x._version for x in _tensors(value)]


def _check_order(graph: fx.Graph, result: Record) -> None:
    """Raise NotTraced where a call uses what an earlier one changed in place, but not returned."""
    order = {node: i for i, node in enumerate(graph.nodes)}
    classes: dict[fx.Node, set[fx.Node]] = {}
    for node in graph.nodes:
        own = classes.setdefault(node, {node})
        for source in result.aliases.get(node, []):
            own |= classes[source]
        for member in own:
            classes[member] = own
        for source in result.mutated.get(node, []):
            for member in classes[source] - {node}:
                late = [x for x in member.users if order[x] > order[node]]
                if late:
                    raise NotTraced(
                        f"'{node.name}' changes '{member.name}' in place, which '{late[0].name}' "
                        "uses later"
                    )
