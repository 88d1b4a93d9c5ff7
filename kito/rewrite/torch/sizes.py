"""What must hold for all sizes of images: a PyTorch module has no fixed ones.

The shapes in a graph are those of one run. Two convolutions with strides may return equal sizes for
one image and other ones for the next; then their sum fails, or repeats the smaller of them. The
size along an axis is ``(n + pads - reach) // stride + 1``, so it is the same for every ``n`` where
``pads - reach`` is, or where the stride is 1.
"""

from __future__ import annotations

from kito.graph.ir import Graph, Node
from kito.graph.torch.op import Opaque
from kito.rewrite.convolution import DENSE, PADDINGS, padded_zeros, windows
from kito.rewrite.outcome import Outcome
from kito.rewrite.passes.merge_branches import merge
from kito.rewrite.transfer.merging import is_sum


def merge_branches(graph: Graph) -> Outcome:
    """The pass of this name, without the sums whose terms may differ in size."""
    for node in graph.nodes:
        if is_sum(node.op):
            margins = {x for t in node.operands if (x := _margins(t.node)) is not None}
            if len(margins) > 1:
                node.op.layer = Opaque("Add", "its terms may differ in size")
    return merge.run(graph)


def _margins(node: Node) -> tuple[int, ...] | None:
    """``pads - reach`` of a convolution with strides along each axis; None for any other call."""
    if type(node.op.layer) not in DENSE or node.data is None:
        return None
    along = windows(node.op)
    if all(x.stride == 1 for x in along):
        return None
    padding = node.data.node
    pads = [(0, 0)] * len(along)
    if type(padding.op.layer) in PADDINGS:
        pads = padded_zeros(padding.op.layer)
    return tuple(
        before + after - (x.size - 1) * x.dilation
        for x, (before, after) in zip(along, pads, strict=True)
    )
