"""Make an ``fx.GraphModule`` of a graph that was read from PyTorch.

A call that no pass changed is copied from the trace, with its module, under its path. A module
that a pass changed is copied with its new weights under its path, or beside it where other calls
still need the old one.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from keras import layers
from torch import fx

from kito.graph.ir import Node, Tensor
from kito.graph.torch.in_place import keep_values
from kito.graph.torch.op import Opaque, TorchOp
from kito.graph.torch.read import Reading, flat_nodes
from kito.graph.torch.weights import module_with


class NotWritten(Exception):
    """The graph cannot be written; the message says why."""


def write_module(reading: Reading) -> fx.GraphModule:
    """The module that computes the graph of ``reading``, in eval mode.

    It holds the modules of the trace that it calls unchanged; nothing else may use them then.

    Raises:
        NotWritten: a call asks for the sizes of a tensor that is gone, or has other sizes now.
    """
    return _Writer(reading).write()


class _Writer:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.root = reading.trace.root
        self.graph = fx.Graph()
        self.written: dict[Tensor, fx.Node] = {}
        self.apart: dict[fx.Node, fx.Node] = {}
        self.targets: dict[str, Any] = {}
        self.paths: dict[TorchOp, str] = {}
        self.fresh: set[fx.Node] = set()
        self.mutated: dict[fx.Node, list[int]] = {}
        self.called = self._called_unchanged()

    def write(self) -> fx.GraphModule:
        for node in self.reading.graph.nodes:
            self._write(node)
        end = next(x for x in self.reading.trace.graph.nodes if x.op == "output")
        used = [x for x in end.all_input_nodes if x in self.reading.tensors]
        now = dict(zip(used, self.reading.graph.outputs, strict=True))
        self.graph.output(
            fx.map_arg(end.args[0], lambda x: self.written[now[x]] if x in now else self._apart(x))
        )
        keep_values(self.graph, self.targets, self.fresh, self.mutated)
        module = fx.GraphModule(self.targets, self.graph, type(self.root).__name__)
        _keep_attributes(module, self.reading.trace.attributes)
        return module.eval()

    # ---- calls ---------------------------------------------------------------------------------

    def _write(self, node: Node) -> None:
        call = self.reading.calls.get(node)
        source = [self._input(x) for x in node.inputs]
        if node in self.reading.paddings:
            self._check_padding(node)
            self.written[node.outputs[0]] = source[0]  # its convolution pads by itself
            return
        assert call is not None  # only paddings have none: passes for Keras add other calls
        op = node.op
        if isinstance(op.layer, layers.Rescaling) and not isinstance(op, TorchOp):
            new = self._rescale(node, call, source[0])
        elif not isinstance(op, TorchOp):
            raise NotWritten(f"a pass put a {type(op.layer).__name__} in the place of {op.name}")
        elif op.changed or op in self.paths:
            new = self.graph.call_module(self._changed(op), (source[0],))
            self.fresh.add(new)
        elif isinstance(op.layer, layers.Add) and len(source) != len(_tensors_of(call, self)):
            new = source[0]
            for other in source[1:]:
                new = self.graph.call_function(operator.add, (new, other))
            self.fresh.add(new)
        else:
            new = self._copy(node, call, source)
        self.written[node.outputs[0]] = new

    def _input(self, tensor: Tensor) -> fx.Node:
        return self.written[tensor]

    def _check_padding(self, node: Node) -> None:
        result = node.outputs[0]
        if result.users != [self.reading.paddings[node]]:
            raise NotWritten(f"the padding of '{node.op.name}' has other users")

    def _copy(self, node: Node, call: fx.Node, source: list[fx.Node]) -> fx.Node:
        """The call as it was in the trace, of the tensors that the node takes now."""
        was = _tensors_of(call, self)
        now = dict(zip(was, source, strict=True))
        new = self.graph.node_copy(call, lambda x: now[x] if x in now else self._apart(x))
        new.type = None  # an annotation that is a string makes a module that cannot be saved
        if call.target == "view" and isinstance(node.op.layer, layers.Reshape):
            new.target = "reshape"  # a view fails where a rewrite changed the order of memory
        record = self.reading.record
        if call.op == "call_module":
            path = str(call.target)
            self.targets[path] = self.root.get_submodule(path)
        mutated = record.mutated.get(call, [])
        if mutated:
            inputs = new.all_input_nodes
            places = [inputs.index(now[x]) for x in mutated if x in now]
            self.mutated[new] = places
        elif call not in record.aliases and self._makes_new(node, call):
            self.fresh.add(new)
        return new

    def _makes_new(self, node: Node, call: fx.Node) -> bool:
        """Whether the result never shares memory with an input, as the run has shown for one."""
        if call.op == "placeholder":
            return False
        if not isinstance(node.op.layer, Opaque):
            return True
        if call.op != "call_module":
            return False
        kind = type(self.root.get_submodule(str(call.target)))
        return kind.__module__.startswith("torch.nn.modules.activation")

    # ---- what is not in the graph --------------------------------------------------------------

    def _apart(self, node: fx.Node) -> fx.Node:
        """A constant, or what depends on sizes only, written at its first use."""
        tensors = self.reading.tensors
        if node in tensors:
            return self._same_size(node, tensors[node])
        if node not in self.apart:
            self.apart[node] = self.graph.node_copy(node, self._apart)
            if node.op == "get_attr":
                path = str(node.target)
                self.targets[path] = operator.attrgetter(path)(self.root)
        return self.apart[node]

    def _same_size(self, node: fx.Node, tensor: Tensor) -> fx.Node:
        """What has the size of a tensor now, for a call that asks for no more than that."""
        shape = tensor.shape
        replaced = self.reading.graph.replaced
        while tensor in replaced:
            tensor = replaced[tensor]
        known = self.reading.record.specs[node].shape
        if tensor not in self.written or tensor.shape != shape or shape != known:
            raise NotWritten(f"the size of '{node.name}' is asked for, which is gone")
        return self.written[tensor]

    # ---- modules -------------------------------------------------------------------------------

    def _called_unchanged(self) -> set[str]:
        """The paths of the modules that calls need as they were."""
        return {
            str(call.target)
            for node, call in self.reading.calls.items()
            if call.op == "call_module"
            and node in self.reading.graph.nodes
            and isinstance(node.op, TorchOp)
            and not node.op.changed
        }

    def _changed(self, op: TorchOp) -> str:
        """The path of the module for an op that passes changed; it is made at the first call."""
        if op not in self.paths:
            path = self.paths[op] = self._free_path(op.name)
            try:
                self.targets[path] = module_with(op)
            except ValueError as error:
                raise NotWritten(str(error)) from error
        return self.paths[op]

    def _free_path(self, path: str) -> str:
        """``path``, if it is free and not in a module that stays; else one beside it."""
        if any(path.startswith(f"{x}.") for x in self.called):
            path = path.replace(".", "_")
        numbered = (path if i == 0 else f"{path}_{i}" for i in itertools.count())
        return next(x for x in numbered if self._is_free(x))

    def _is_free(self, path: str) -> bool:
        taken = {*self.called, *self.targets}
        below = any(x.startswith(f"{path}.") or path.startswith(f"{x}.") for x in taken)
        return path not in taken and not below

    def _rescale(self, node: Node, call: fx.Node, source: fx.Node) -> fx.Node:
        """``x * scale + shift``, with constants for what a pass has left of an affine."""
        layer = node.op.layer
        path = str(call.target) if call.op == "call_module" else call.name
        scale = self._constant(layer.scale, f"{path}.scale", call)
        shift = self._constant(layer.offset, f"{path}.shift", call)
        scales = bool(np.any(np.asarray(layer.scale) != 1.0))
        shifts = bool(np.any(np.asarray(layer.offset) != 0.0))
        new = source
        if scales or not shifts:
            new = self.graph.call_function(operator.mul, (new, scale()))
        if shifts:  # in place, it takes as long as one batch_norm, else longer
            add: Any = (
                self.graph.call_function(operator.add, (new, shift()))
                if not scales
                else (self.graph.call_method("add_", (new, shift())))
            )
            new = add
        self.fresh.add(new)
        return new

    def _constant(self, value: Any, path: str, call: fx.Node) -> Any:
        """A function that writes a constant: a number, or a buffer under ``path``."""
        if np.ndim(value) == 0:
            return lambda: float(value)
        holder, _, name = path.rpartition(".")
        if not self._is_free(path):
            path = self._free_path(f"{holder}_affine.{name}")

        def write() -> fx.Node:
            self.targets[path] = torch.from_numpy(np.array(value)).to(self._device(call))
            return self.graph.get_attr(path)

        return write

    def _device(self, call: fx.Node) -> torch.device:
        """Where the call computes."""
        held = (
            [self.root]
            if call.op != "call_module"
            else [self.root.get_submodule(str(call.target)), self.root]
        )
        values = self.reading.constants.values
        near = [values[x] for x in call.all_input_nodes if x in values]
        tensors = [x for x in near if isinstance(x, torch.Tensor)]
        tensors += [t for m in held for t in (*m.parameters(), *m.buffers())]
        return tensors[0].device if tensors else torch.device("cpu")


def _keep_attributes(module: fx.GraphModule, attributes: Mapping[str, Any]) -> None:
    """Give ``module`` attributes that stay when it is copied."""
    kept = {name: value for name, value in attributes.items() if not hasattr(module, name)}
    for name, value in kept.items():
        setattr(module, name, value)
    module.meta["_user_preserved_attributes"] = kept  # PyTorch's own key


def _tensors_of(call: fx.Node, writer: _Writer) -> list[fx.Node]:
    """The tensors of the graph that a call took in the trace, in the order of the node's."""
    tensors = writer.reading.tensors
    node = tensors[call].node
    if node.args and isinstance(node.args[0], list):
        return [x for x in flat_nodes(call) if x in tensors]
    return [x for x in call.all_input_nodes if x in tensors]
