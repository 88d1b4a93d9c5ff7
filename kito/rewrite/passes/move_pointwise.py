"""Pointwise convolutions move to where there are fewer positions, or leave fewer channels.

Identities, for a convolution ``M x + b`` with a window of one element, or a ``Dense`` layer:

- ``pool(M x + b) = M pool(x) + b`` for an average pooling: the weights of a mean sum to one, and
  with ``padding="same"`` Keras averages real elements only;
- ``f(M up(x) + b) = up(f(M x + b))`` for up-sampling to the nearest element, which copies, and
  for a bilinear one without ``f``: its weights sum to one, too.

A mean over a window of k elements, of which every r-th position is wanted, goes from the output
channels to the input channels. So the first is done where it saves more multiplications than it
costs additions: ``(r - 1) * in * out > k * (in - out)``. DenseNet halves its sizes this way. Where
the positions are the same ones before and after the mean, it goes to where there are fewer
channels, if that saves more than the activation behind it, which no convolution can apply then:
``k * (in - out) > out``. The pooling branches of Inception do that.
"""

from __future__ import annotations

import math
from typing import Any

from keras import layers

from kito.graph.ir import Graph, Node, Tensor
from kito.rewrite.affine import Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import DENSE, as_tuple, check_linear, windows
from kito.rewrite.outcome import Outcome, Rewrite

_POOLINGS = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
_UP_SAMPLINGS = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)


def run(graph: Graph) -> Outcome:
    """Move every pointwise layer of ``graph``, and of the models nested in it, that is worth it."""
    outcome = Outcome()
    for inner in graph.graphs():
        moved = True
        while moved:  # a layer may pass several poolings
            found = [x for node in list(inner.nodes) if (x := _move(inner, node)) is not None]
            outcome.rewrites += found
            moved = bool(found)
    return outcome


def _move(graph: Graph, second: Node) -> Rewrite | None:
    """Exchange the call with the one before it, if that can be done and is worth it."""
    middle = second.data
    if middle is None or middle.users != [second] or graph.is_output(middle):
        return None
    first = middle.node
    try:
        if type(second.op.layer) in _POOLINGS and _is_pointwise(first):
            check_linear(first)
            pointwise, other, worth = first, second, _saves_by_pooling(first, second)
        elif type(first.op.layer) in _UP_SAMPLINGS and _is_pointwise(second):
            check_linear(second, but_activation=_copies(first.op.layer))
            pointwise, other, worth = second, first, _saves_before_copies(first, second)
        elif type(first.op.layer) in _POOLINGS and _is_pointwise(second):
            check_linear(second)
            pointwise, other, worth = second, first, _saves_before_pooling(first, second)
        else:
            return None
        if not worth or not _fit(pointwise, other):
            return None
    except Refused:
        return None
    rewrite = Rewrite("move_pointwise", (pointwise.op.name,), other.op.name)
    _exchange(graph, first, second, _shape_between(first, second, pointwise))
    return rewrite


def _is_pointwise(node: Node) -> bool:
    layer = node.op.layer
    if type(layer) is layers.Dense:
        return True
    return type(layer) in DENSE and all((x.size, x.stride) == (1, 1) for x in windows(node.op))


def _fit(pointwise: Node, other: Node) -> bool:
    """Whether both have their channels on the same axis, take one tensor, and cast nothing."""
    data, result = other.data, other.outputs[0]
    if data is None or len(other.inputs) != 1 or len(other.outputs) != 1 or other.changes_mask:
        return False
    first = type(pointwise.op.layer) is not layers.Dense and is_channels_first(pointwise.op.layer)
    if first is not is_channels_first(other.op.layer):
        return False
    return bool(data.dtype == result.dtype == other.op.layer.compute_dtype)


def _saves_by_pooling(pointwise: Node, pooling: Node) -> bool:
    along = windows(pooling.op)
    fewer, taps = math.prod(x.stride for x in along), math.prod(x.size for x in along)
    inputs, outputs, products = _channels(pointwise)
    return (fewer - 1) * products > taps * (inputs - outputs)


def _saves_before_pooling(pooling: Node, pointwise: Node) -> bool:
    along = windows(pooling.op)
    if pooling.op.setting("padding") != "same" or any(x.stride != 1 for x in along):
        return False
    inputs, outputs, _ = _channels(pointwise)
    return math.prod(x.size for x in along) * (inputs - outputs) > outputs


def _saves_before_copies(up: Node, pointwise: Node) -> bool:
    layer = up.op.layer
    size = math.prod(as_tuple(layer.size, len(up.outputs[0].shape) - 2))
    inputs, outputs, products = _channels(pointwise)
    return (size - 1) * products > size * (outputs - inputs)


def _channels(node: Node) -> tuple[int, int, int]:
    """Its input channels, its output channels, and its multiplications at one position."""
    kernel = node.op.weight("kernel")
    if kernel is None:
        raise Refused(f"'{node.op.name}' has no weight named 'kernel'")
    inputs, outputs = kernel.shape[-2:]
    return inputs * int(getattr(node.op.layer, "groups", 1)), outputs, inputs * outputs


def _copies(layer: Any) -> bool:
    """Whether an up-sampling copies elements, so that any function of a position passes it."""
    return getattr(layer, "interpolation", "nearest") == "nearest"


def _shape_between(first: Node, second: Node, pointwise: Node) -> tuple[int | None, ...]:
    """The shape of what is passed from one to the other once they are exchanged."""
    data = first.data
    assert data is not None
    sizes, channels = (second.outputs[0], data) if pointwise is first else (data, second.outputs[0])
    axis = 1 if is_channels_first(pointwise.op.layer) else len(sizes.shape) - 1
    shape = list(sizes.shape)
    shape[axis] = channels.shape[axis]
    return tuple(shape)


def _exchange(graph: Graph, first: Node, second: Node, shape: tuple[int | None, ...]) -> None:
    """Let each of two calls in a row call the layer of the other one."""
    source, middle = first.data, second.data
    assert isinstance(source, Tensor)
    assert isinstance(middle, Tensor)
    one, other = first.op, second.op
    first.set_op(other)
    second.set_op(one)
    graph.set_operands(first, source)
    graph.set_operands(second, middle)
    middle.shape, middle.measured = shape, None
    if first.op.name in graph.output_names and not graph.sequential:
        graph.give_own_copy(first)  # the name is needed for what makes the output now
