"""Reshapes and transposes that change nothing, or that undo each other."""

from __future__ import annotations

from typing import Any

from kito.export.onnx_graph.view import GraphView, Shape


def redundant_reshape(view: GraphView, node: Any) -> bool:
    """A ``Reshape`` to the shape that its input has already, or had before another reshape.

    Squeeze-and-excitation blocks of Keras drop the two axes of a global pooling and bring them
    back: the engine then leaves the layout of its convolutions for a copy of nothing.
    """
    if node.op_type != "Reshape" or view.is_output(node.output[0]):
        return False
    target = view.constant(node.input[1])
    if target is None:
        return False
    wanted = tuple(int(size) for size in target)
    source = node.input[0]
    while source:
        if _is_shape(view.shape(source), wanted):
            view.replace(node.output[0], source)
            return True
        before = view.producer(source, "Reshape", "Squeeze", "Unsqueeze", "Flatten")
        source = before.input[0] if before is not None else ""
    return False


def redundant_transpose(view: GraphView, node: Any) -> bool:
    """Two transposes of which the second undoes the first."""
    if node.op_type != "Transpose" or view.is_output(node.output[0]):
        return False
    first = view.producer(node.input[0], "Transpose")
    if first is None or not (first.attribute and node.attribute):
        return False
    before, after = (list(x.attribute[0].ints) for x in (first, node))
    if [before[axis] for axis in after] != list(range(len(before))):
        return False
    view.replace(node.output[0], first.input[0])
    return True


def _is_shape(shape: Shape | None, wanted: tuple[int, ...]) -> bool:
    """Whether a target ``(-1, 7, 1)`` is the shape ``(None, 7, 1)``: only one size is open."""
    if shape is None or len(shape) != len(wanted) or not shape:
        return False
    return wanted[0] == -1 and all(wanted[1:]) and shape[1:] == wanted[1:]
