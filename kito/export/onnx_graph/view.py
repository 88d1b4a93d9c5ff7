"""An ONNX graph to be rewritten: who computes a tensor, who uses it, its shape, its constants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kito.export.onnx_graph.names import uses

Shape = tuple[int | None, ...]
"""Sizes by axis; None where a size is not known before the graph runs."""


class GraphView:
    """The nodes of a ``ModelProto``, indexed. Rewrites change the proto through it, in place."""

    def __init__(self, model: Any) -> None:
        import onnx

        self._graph = model.graph
        self.opset = next(x.version for x in model.opset_import if x.domain in ("", "ai.onnx"))
        self._constants = {x.name: x for x in self._graph.initializer}
        self._given = {x.name for x in self._graph.input}
        self._outputs = {x.name for x in self._graph.output}
        self._producers: dict[str, Any] = {}
        self._users: dict[str, list[Any]] = {}
        for node in self._graph.node:
            self._enter(node)
        known = onnx.shape_inference.infer_shapes(model).graph
        self._shapes: dict[str, Shape] = {
            value.name: tuple(x.dim_value or None for x in value.type.tensor_type.shape.dim)
            for value in (*known.value_info, *known.input, *known.output)
            if value.type.tensor_type.HasField("shape")
        }
        self._shapes |= {x.name: tuple(x.dims) for x in self._graph.initializer}
        self._new = 0

    def nodes(self) -> Iterator[Any]:
        """The nodes as they were when this began, without those that nothing needs any more."""
        for node in list(self._graph.node):
            if any(self._producers.get(name) is node for name in node.output):
                yield node

    def producer(self, name: str, *types: str) -> Any:
        """The node that computes a tensor, if it is of one of these types; else None."""
        node = self._producers.get(name)
        return node if node is not None and node.op_type in types and not node.domain else None

    def only_use(self, name: str) -> bool:
        """Whether a single node uses a tensor, once, and it is no output of the graph."""
        return len(self._users.get(name, ())) == 1 and name not in self._outputs

    def is_output(self, name: str) -> bool:
        """Whether a tensor is an output of the graph."""
        return name in self._outputs

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor; None where even its rank is not known."""
        return self._shapes.get(name)

    def constant(self, name: str) -> np.ndarray | None:
        """The value of a tensor that the file holds; None for any other tensor."""
        from onnx import numpy_helper

        value = self._constants.get(name)
        if value is None or name in self._given:  # an input with a default is no constant
            return None
        return np.asarray(numpy_helper.to_array(value))

    def scalar(self, name: str) -> float | None:
        """The value of a constant of one float32 element."""
        value = self.constant(name)
        if value is None or value.size != 1 or value.dtype != np.float32:
            return None
        return float(value.reshape(()))

    def operands(self, node: Any) -> Iterator[tuple[str, str]]:
        """Both orders of the inputs of a commutative node."""
        first, second = node.input
        yield first, second
        yield second, first

    def add_constant(self, value: np.ndarray) -> str:
        """Put a constant into the file and return its name."""
        from onnx import numpy_helper

        name = self._free_name()
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self._graph.initializer.append(tensor)
        self._constants[name] = self._graph.initializer[-1]
        self._shapes[name] = value.shape
        return name

    def add_node(
        self, op_type: str, inputs: Sequence[str], shape: Shape | None, **attributes: Any
    ) -> str:
        """Put a node with one output into the graph and return that output's name."""
        from onnx import helper

        name = self._free_name()
        self._graph.node.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        self._enter(self._graph.node[-1])
        if shape is not None:
            self._shapes[name] = shape
        return name

    def become(self, node: Any, op_type: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Let a node compute its output in another way."""
        from onnx import helper

        changed = helper.make_node(op_type, list(inputs), list(node.output), **attributes)
        before = uses(node)
        self._use(node, uses(changed))
        node.CopyFrom(changed)
        self._release(node, before)

    def replace(self, old: str, new: str) -> None:
        """Let every node that uses one tensor use another one, which has the same value."""
        for node in list(self._users.get(old, ())):
            if old in node.input:
                before = uses(node)
                node.input[:] = [new if name == old else name for name in node.input]
                self._use(node, uses(node))
                self._release(node, before)

    def _enter(self, node: Any) -> None:
        for name in node.output:
            if name:
                self._producers[name] = node
        self._use(node, uses(node))

    def _use(self, node: Any, names: Sequence[str]) -> None:
        for name in names:
            self._users.setdefault(name, []).append(node)

    def _release(self, node: Any, names: Sequence[str]) -> None:
        """Forget that a node uses tensors, and each node that only it needed."""
        for name in names:
            users = self._users[name]
            # Protos that are equal need not be the same.
            del users[next(i for i, x in enumerate(users) if x is node)]
            producer = self._producers.get(name)
            if producer is not None and not any(
                self._users.get(x) or x in self._outputs for x in producer.output
            ):
                for output in producer.output:
                    self._producers.pop(output, None)
                self._release(producer, uses(producer))

    def _free_name(self) -> str:
        self._new += 1
        return f"kito:{self._new}"
