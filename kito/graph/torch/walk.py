"""Run a module call by call, in inference, as :mod:`kito.graph.interpret` runs a Keras model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from kito.graph.interpret import Result
from kito.graph.ir import Graph, Op, Tensor
from kito.graph.torch.constants import Constants
from kito.graph.torch.op import Description, TorchOp
from kito.graph.torch.record import record
from kito.graph.torch.trace import Trace, trace


@dataclass(frozen=True)
class Steps:
    """The calls of a module that return tensors.

    Attributes:
        trace: all calls.
        graph: those that return a tensor which depends on the inputs. An op has the path of its
            module, or the name that ``torch.fx`` gave to the call of a function.
        functions: the ops of functions; their names differ from trace to trace.
        tensors: the tensor of each call.
    """

    trace: Trace
    graph: Graph
    functions: frozenset[Op]
    tensors: dict[fx.Node, Tensor]

    def walk(self, inputs: list[Any]) -> Iterator[Result]:
        """Each tensor when it is computed, the inputs first; each is released after its last use.

        Args:
            inputs: tensors, in the order of the arguments of ``forward``.

        Raises:
            Exception: whatever a module may raise.
        """
        interpreter = fx.Interpreter(self.trace.root, graph=self.trace.graph)
        interpreter.args_iter = iter(inputs)
        numbers: dict[Tensor, int] = {}
        for node in self.trace.graph.nodes:
            with torch.no_grad():
                value = interpreter.env[node] = interpreter.run_node(node)
            for used in interpreter.user_to_last_uses.get(node, ()):
                del interpreter.env[used]
            tensor = self.tensors.get(node)
            if tensor is not None:
                numbers[tensor] = len(numbers)
                copied = value.detach().clone()  # the next call may change it in place
                parents = tuple(numbers[x] for x in dict.fromkeys(tensor.node.inputs))
                yield Result(numbers[tensor], tensor.node.op.name, copied, parents)


def read_steps(module: nn.Module, inputs: tuple[Any, ...]) -> Steps:
    """The calls of a module.

    Args:
        module: in eval mode; it is not changed.
        inputs: the positional arguments of ``forward``: tensors of at least one sample.

    Raises:
        NotTraced: it cannot be traced as a whole.
    """
    traced = trace(module, inputs)
    told = record(traced, inputs)
    constants = Constants(module, told, sizes_apart=True)
    graph, functions = Graph(module, None), set()
    tensors: dict[fx.Node, Tensor] = {}
    sources: dict[fx.Node, list[Tensor]] = {}
    for node in traced.graph.nodes:
        if node.op == "output" or constants.take(node):
            continue
        # What is no tensor, such as a tuple of tensors, passes on what it was made from.
        given = list(dict.fromkeys(y for x in node.all_input_nodes for y in sources.get(x, ())))
        spec = told.specs.get(node)
        if spec is None:
            sources[node] = given
            continue
        name = str(node.target) if node.op == "call_module" else node.name
        op = TorchOp(Description(spec.dtype), name, node.op, {})
        if node.op != "call_module":
            functions.add(op)
        (tensors[node],) = graph.add(op, tuple(given), {}, [spec]).outputs
        sources[node] = [tensors[node]]
    return Steps(traced, graph, frozenset(functions), tensors)
