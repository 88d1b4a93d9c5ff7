"""Read a traced PyTorch module as a :class:`Graph`: a node for each call, with what it computes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from keras import layers
from torch import fx, nn

from kito.graph.ir import Graph, Node, Tensor
from kito.graph.torch.call import Call, name_of
from kito.graph.torch.constants import Constants
from kito.graph.torch.describe import DTYPES, Described, NotDescribed
from kito.graph.torch.functions import describe_call
from kito.graph.torch.modules import describe_module
from kito.graph.torch.op import Opaque, TorchOp
from kito.graph.torch.record import Record, Spec
from kito.graph.torch.trace import Trace, is_shared, shared_parameters
from kito.graph.torch.tracer import GUARD

_NO_TENSOR = Spec((), "int32", False)
"""For a result that is no tensor, which only opaque calls take."""
_SAFE_WITHOUT_BATCH = ("flatten", "permute", "transpose", "Flatten")
"""What moves elements within a sample by its definition, whatever the batch."""


class TorchGraph(Graph):
    """A graph that knows which tensor took the place of another.

    Attributes:
        replaced: for each tensor that was replaced, the other one.
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__(root, None)
        self.replaced: dict[Tensor, Tensor] = {}

    def replace_uses(self, old: Tensor, new: Tensor) -> None:
        super().replace_uses(old, new)
        self.replaced[old] = new


@dataclass
class Reading:
    """A module as a graph, and what each node of the graph was in the trace.

    Attributes:
        trace: what was read.
        record: what a run told.
        constants: the calls that are not in the graph.
        graph: what was made of it.
        tensors: the tensor of each call.
        calls: the call that each node stands for.
        paddings: the node that pads for a convolution, and the node of that convolution.
        opaque: why modules stay as they are, by path, where somebody may want to know.
    """

    trace: Trace
    record: Record
    constants: Constants
    graph: TorchGraph
    tensors: dict[fx.Node, Tensor] = field(default_factory=dict)
    calls: dict[Node, fx.Node] = field(default_factory=dict)
    paddings: dict[Node, Node] = field(default_factory=dict)
    opaque: dict[str, str] = field(default_factory=dict)


def read_trace(trace: Trace, record: Record, sizes_apart: bool = True) -> Reading:
    """The graph of a traced module, O(calls).

    Calls that ask for the sizes of tensors are no users of these, if ``sizes_apart``.
    """
    return _Reader(trace, record, sizes_apart).read()


class _Reader:
    def __init__(self, trace: Trace, record: Record, sizes_apart: bool) -> None:
        self.root, self.record = trace.root, record
        constants = Constants(trace.root, record, sizes_apart)
        self.reading = Reading(trace, record, constants, TorchGraph(trace.root))
        self.ops: dict[int, TorchOp] = {}
        self.shared = shared_parameters(trace.root)
        self.outside = _used_by_functions(trace.graph)
        self.reading.opaque.update(trace.closed)

    def read(self) -> Reading:
        graph, tensors, constants = self.reading.graph, self.reading.tensors, self.reading.constants
        for node in self.reading.trace.graph.nodes:
            if node.op == "output":
                used = [x for x in node.all_input_nodes if x in tensors]
                graph.outputs = [tensors[x] for x in used]
            elif node.op == "placeholder":
                batch_shape = (None,)
                layer = layers.InputLayer(batch_shape=batch_shape, name="description")
                self._add(node, TorchOp(layer, node.name, "input", {}), ())
            elif not constants.take(node):
                self._read(node)
        graph.inputs = []
        return self.reading

    def _add(self, node: fx.Node, op: TorchOp, args: Any) -> Node:
        added = self.reading.graph.add(op, args, {}, [self.record.specs.get(node, _NO_TENSOR)])
        self.reading.calls[added] = node
        self.reading.tensors[node] = added.outputs[0]
        return added

    def _read(self, node: fx.Node) -> None:
        operands = [x for x in node.all_input_nodes if x in self.reading.tensors]
        if (
            name_of_call(node) == "_assert"
            and GUARD not in node.meta
            and self.reading.constants.argument(node.args)[0] is True
        ):
            self.reading.constants.sizes.add(node)
            return
        try:
            described = self._describe(node, operands)
        except NotDescribed as reason:
            self._add_opaque(node, operands, str(reason))
            return
        op = self._op(node, described)
        if op is None:  # a module that is called on tensors of different kinds
            self._add_opaque(node, operands, "it is called in different ways")
            return
        given = self._operands(node, described, operands)
        padding = None
        if described.padding is not None:
            padding = self._add_padding(node, op, described, given[0])
            given = [padding.outputs[0]]
        added = self._add(node, op, (given,) if described.joined else tuple(given))
        if padding is not None:
            self.reading.paddings[padding] = added

    def _operands(
        self, node: fx.Node, described: Described, operands: list[fx.Node]
    ) -> list[Tensor]:
        """The tensors that a described call takes, each as often as it takes it."""
        tensors = self.reading.tensors
        if not described.joined:
            return [tensors[x] for x in operands]
        return [tensors[x] for x in flat_nodes(node) if x in tensors]

    def _add_opaque(self, node: fx.Node, operands: list[fx.Node], reason: str) -> None:
        kind, name = name_of_call(node), node.name
        held = node.target is F.batch_norm
        if node.op == "call_module":
            module, name = self.root.get_submodule(str(node.target)), str(node.target)
            kind = type(module).__name__
            held = bool(list(module.parameters())) or kind.startswith(("BatchNorm", "InstanceNorm"))
        if reason and held:
            self.reading.opaque.setdefault(name, reason)
        op = TorchOp(Opaque(kind, reason), name, kind, {})
        self._add(node, op, tuple(self.reading.tensors[x] for x in operands))

    def _add_padding(
        self, node: fx.Node, op: TorchOp, described: Described, source: Tensor
    ) -> Node:
        sizes = zip(source.shape[2:], described.pads, strict=True)
        spatial = [None if n is None else n + before + after for n, (before, after) in sizes]
        spec = Spec((*source.shape[:2], *spatial), source.dtype, False)
        padding = TorchOp(described.padding, op.name, op.kind, {})
        return self.reading.graph.add(padding, (source,), {}, [spec])

    def _describe(self, node: fx.Node, operands: list[fx.Node]) -> Described:
        """What a call computes; raises NotDescribed."""
        specs = self.record.specs
        if not operands or node not in specs or not all(x in specs for x in operands):
            raise NotDescribed("")
        dtypes = {specs[x].dtype for x in (node, *operands)}
        if len(dtypes) > 1 or not dtypes <= set(DTYPES) or not specs[node].shape:
            raise NotDescribed("")
        dtype = dtypes.pop()
        if node.op == "call_module":
            described = self._describe_module(node, dtype)
        else:
            constants = self.reading.constants
            shapes = {x: specs[x].shape for x in operands}
            args, kwargs = constants.argument(node.args), constants.argument(node.kwargs)
            shape = specs[node].shape
            described = describe_call(Call(node, args, dict(kwargs), shapes, shape, dtype))
        if described.layer.compute_dtype != dtype:
            raise NotDescribed(f"it computes in {described.layer.compute_dtype}, from {dtype}")
        if isinstance(described.layer, layers.Reshape | layers.Permute):
            self._check_within_samples(node, operands[0])
        return described

    def _describe_module(self, node: fx.Node, dtype: str) -> Described:
        path = str(node.target)
        module: Any = self.root.get_submodule(path)
        if len(node.args) != 1 or node.kwargs or node.args[0] not in self.reading.tensors:
            raise NotDescribed("it is called with other arguments than one tensor")
        if path in self.reading.trace.closed:
            raise NotDescribed(self.reading.trace.closed[path])
        for name, value in (*module._parameters.items(), *module._buffers.items()):
            if value is not None and is_shared(value, self.shared):
                raise NotDescribed(f"another module shares its '{name}'")
            if f"{path}.{name}" in self.outside:
                raise NotDescribed(f"its '{name}' is used outside of it")
        rank = len(self.record.specs[node.args[0]].shape)
        return describe_module(module, dtype, rank)

    def _check_within_samples(self, node: fx.Node, source: fx.Node) -> None:
        """Raise NotDescribed where a change of layout may move elements between samples."""
        one, other = self.record.specs[source], self.record.specs[node]
        sizes = [math.prod(n or 1 for n in x.shape[1:]) for x in (one, other)]
        if sizes[0] != sizes[1]:
            raise NotDescribed("it moves elements between samples")
        if not (one.batched and other.batched) and name_of_call(node) not in _SAFE_WITHOUT_BATCH:
            raise NotDescribed("it may move elements between samples")

    def _op(self, node: fx.Node, described: Described) -> TorchOp | None:
        """The op of a described call: one for all calls of a module; None where they differ."""
        name, kind = node.name, name_of_call(node)
        if node.op != "call_module":
            op = TorchOp(described.layer, name, kind, described.weights)
            op.template = described.template
            return op
        name = str(node.target)
        module = self.root.get_submodule(name)
        known = self.ops.get(id(module))
        if known is None:
            known = TorchOp(described.layer, name, type(module).__name__, described.weights)
            known.template = described.template
            self.ops[id(module)] = known
            return known
        same = type(known.layer) is type(described.layer)
        return known if same and known.layer.dtype == described.layer.dtype else None


def name_of_call(node: fx.Node) -> str:
    """The name of the function or method that a call runs; for a module, that of the call."""
    return node.name if node.op == "call_module" else name_of(node)


def flat_nodes(node: fx.Node) -> list[fx.Node]:
    """The results of other calls that a call takes, each as often as it takes it."""
    flat = keras.tree.flatten([_plain(node.args), _plain(dict(node.kwargs))])
    return [x for x in flat if isinstance(x, fx.Node)]


def _plain(value: Any) -> Any:
    """Arguments with plain lists and dicts instead of those of ``torch.fx``."""
    if isinstance(value, dict):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(x) for x in value]
    return value


def _used_by_functions(graph: fx.Graph) -> set[str]:
    """The paths of the parameters and buffers that are arguments of calls."""
    return {str(node.target) for node in graph.nodes if node.op == "get_attr"}
