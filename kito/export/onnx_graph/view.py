"""An ONNX graph to be rewritten: who computes a tensor, who uses it, its shape, its constants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kito.export.onnx_graph.names import every_node, sort_nodes, uses

Shape = tuple[int | None, ...]
"""Sizes by axis; None where a size is not known before the graph runs."""


class GraphView:
    """The nodes of a ``ModelProto``, indexed. Rewrites change the proto through it, in place.

    A view does not learn the shapes that follow from a rewrite; a new one does.
    """

    def __init__(self, model: Any) -> None:
        import onnx

        sort_nodes(model.graph)
        self._graph = model.graph
        self._opset = next(x for x in model.opset_import if x.domain in ("", "ai.onnx"))
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

    def raise_opset(self, version: int) -> bool:
        """Use the operators of a version of ONNX, if those in the graph are the same there."""
        from onnx import defs

        if self._opset.version >= version:
            return True
        for name in {node.op_type for node in every_node(self._graph) if not node.domain}:
            old, new = (defs.get_schema(name, v) for v in (self._opset.version, version))
            if old.since_version != new.since_version:
                return False
        self._opset.version = version
        return True

    def add_constant(self, value: np.ndarray) -> str:
        """Put a constant into the file and return its name."""
        from onnx import numpy_helper

        name = self._free_name()
        tensor = numpy_helper.from_array(np.array(value, order="C"), name)
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


def by_axis(value: np.ndarray, axis: int, rank: int, size: int) -> np.ndarray | None:
    """A float32 constant as one value for each element of an axis, ``size`` of them.

    Args:
        value: what is combined with a tensor of ``rank`` axes, by the rules of broadcasting.
        axis: the axis, not negative.
        rank: of the tensor.
        size: of the axis.

    Returns:
        The values; None where they differ along another axis, or are not float32.
    """
    if value.dtype != np.float32 or value.ndim > rank:
        return None
    if value.size == 1:
        return np.full(size, value.reshape(()), np.float32)
    shape = (1,) * (rank - value.ndim) + value.shape
    wanted = tuple(size if i == axis else 1 for i in range(rank))
    return value.reshape(size) if shape == wanted else None
