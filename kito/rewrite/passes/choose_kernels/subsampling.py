"""One depthwise convolution for padding, cropping and subsampling in a row.

A pooling with a window of one element, average or maximum, only keeps every ``stride``-th element.
Along one axis, output ``o`` of

    pool(crop(pad(x))),  with ``p`` zeros and ``c`` elements cropped before,

is ``x[o * stride + c - p]``, or zero outside of ``x``. That is a depthwise convolution with a
kernel of one 1 and zeros, where a window of ``stride`` elements or fewer has a tap there (see
:mod:`kito.rewrite.convolution`). It reads the tensor once. Padding and cropping each copy all of
it, and with a stride of 2 three quarters of the copy are never read. NASNet and PNASNet halve their
sizes in this way (*factorized reduction*), with an offset of 1.

Either layer before the pooling may be missing. Each is removed only if the next is its only user
and it is no output of the model. Sizes must be known, the strides of both axes equal and above 1,
the channels last, and everything in float32. Finite inputs give the same outputs to the bit;
infinities and NaN do not, since the zeros of the kernel multiply them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import layers

from kito.graph.ir import Graph, Node, Tensor
from kito.rewrite.channels import is_channels_first
from kito.rewrite.convolution import Window, windows, zeros_before
from kito.rewrite.outcome import Rewrite

_POOLINGS = (layers.AveragePooling2D, layers.MaxPooling2D)


@dataclass(frozen=True)
class _Tap:
    """A window along one axis, and which of its elements is read."""

    size: int
    index: int


def as_one_depthwise(pooling: Node) -> Rewrite | None:
    """A depthwise convolution of the same name for a pooling and the layers before it."""
    graph, layer = pooling.graph, pooling.op.layer
    if type(layer) not in _POOLINGS or not _is_plain(pooling):
        return None
    along = windows(pooling.op)
    stride = along[0].stride
    if any(x.size != 1 or x.stride != stride for x in along) or stride == 1:
        return None
    row = _before(graph, pooling)
    if not row:
        return None
    source = row[0].data
    assert source is not None
    shifts = [sum(x) for x in zip(*(_shift(node) for node in row), strict=True)]
    placed = _place(source, pooling.outputs[0], shifts, stride)
    if placed is None:
        return None
    padding, taps = placed
    removed = tuple(node.op.name for node in row)
    new = _depthwise(pooling, source, padding, taps, stride)
    graph.call_layer(pooling, new, source)
    return Rewrite("choose_kernels", removed, pooling.op.name)


def _is_plain(node: Node) -> bool:
    """Whether it makes one float32 tensor, with the channels last, of one such tensor."""
    data, layer = node.data, node.op.layer
    if data is None or len(node.inputs) != 1 or len(node.outputs) != 1 or node.changes_mask:
        return False
    dtypes = {data.dtype, node.outputs[0].dtype, layer.compute_dtype, layer.variable_dtype}
    return dtypes == {"float32"} and not is_channels_first(layer)


def _before(graph: Graph, pooling: Node) -> list[Node]:
    """The padding and the cropping before the pooling that can be removed, in this order."""
    row: list[Node] = []
    for kind in (layers.Cropping2D, layers.ZeroPadding2D):
        last = row[0] if row else pooling
        assert last.data is not None
        node = last.data.node
        if type(node.op.layer) is not kind:
            continue
        if last.data.users != [last] or graph.is_output(last.data) or not _is_plain(node):
            break
        row.insert(0, node)
    return row


def _shift(node: Node) -> tuple[int, ...]:
    """By how many elements its output begins later than its input, along both axes."""
    layer = node.op.layer
    if isinstance(layer, layers.ZeroPadding2D):
        return tuple(-x for x in zeros_before(layer))
    return tuple(before for before, _ in layer.cropping)


def _place(
    source: Tensor, result: Tensor, shifts: list[int], stride: int
) -> tuple[str, list[_Tap]] | None:
    """A padding mode, and along both axes a window of which one tap reads the right element."""
    sizes, counts = source.shape[1:-1], result.shape[1:-1]
    for padding in ("valid", "same"):
        taps = [
            _tap(n, count, shift, stride, padding)
            for n, count, shift in zip(sizes, counts, shifts, strict=True)
        ]
        known = [tap for tap in taps if tap is not None]
        if len(known) == len(taps):
            return padding, known
    return None


def _tap(n: int | None, count: int | None, shift: int, stride: int, padding: str) -> _Tap | None:
    """A tap that reads ``o * stride + shift`` of ``n`` elements for each of ``count`` outputs."""
    if n is None or count is None:
        return None
    for size in range(1, stride + 1):
        if padding == "valid":
            before, made = 0, (n - size) // stride + 1
        else:
            before, made = Window(size, stride, 1).same(n)[0], -(-n // stride)
        index = shift + before
        if made == count and 0 <= index < size:
            return _Tap(size, index)
    return None


def _depthwise(
    pooling: Node, source: Tensor, padding: str, taps: list[_Tap], stride: int
) -> layers.Layer:
    layer = layers.DepthwiseConv2D(
        tuple(tap.size for tap in taps),
        strides=stride,
        padding=padding,
        use_bias=False,
        data_format="channels_last",
        name=pooling.op.name,
        dtype=pooling.op.layer.dtype_policy,
        trainable=False,  # the kernel is a constant
    )
    layer.build(source.shape)
    kernel = np.zeros(layer.kernel.shape, "float32")
    row, column = taps
    kernel[row.index, column.index] = 1.0
    layer.set_weights([kernel])
    return layer
