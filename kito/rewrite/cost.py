"""What the calls of a graph cost in inference, so that passes can say what they saved.

Three figures, for one sample:

- operations: passes over a whole tensor that are no product with a kernel. A BatchNormalization
  takes two, another affine as many as :attr:`kito.rewrite.affine.Affine.cost` says; a bias, an
  activation, a pooling or a padding takes one, a sum of ``n`` tensors ``n - 1``; what only renames
  a tensor takes none.
- multiplications: of kernels, ``kernel elements * output positions``, and of scales, one for each
  element. They are unknown where a size is open, unless what they are multiplied by is equal before
  and after.
- parameters: elements of all weights.

The cost of a layer that no pass knows is not what it really costs. Only differences are reported,
and no pass changes such a layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
from keras import layers

from kito.graph.ir import Graph, Node, Op, Tensor
from kito.graph.stock import named_weights
from kito.rewrite.affine import Refused
from kito.rewrite.channels import is_channels_first
from kito.rewrite.identity import is_identity
from kito.rewrite.legality import Affines
from kito.rewrite.transfer.merging import is_sum

Sizes = tuple[int | None, ...]
Shapes = dict[str, tuple[int, ...]]

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")
_TRANSPOSED = tuple(
    getattr(layers, name) for name in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
)
_ELEMENTWISE = (layers.Add, layers.Multiply, layers.Subtract, layers.Average)
_FREE = (layers.InputLayer, layers.Reshape, layers.Flatten)


@dataclass(frozen=True)
class Cost:
    """What calls cost, or, as a difference, what was saved.

    Attributes:
        operations: passes over a whole tensor.
        parameters: elements of weights.
        products: multiplications at one position, by the sizes over which they are repeated.
    """

    operations: int = 0
    parameters: int = 0
    products: Mapping[Sizes, int] = field(default_factory=dict)

    def __add__(self, other: Cost) -> Cost:
        return self._joined(other, 1)

    def __sub__(self, other: Cost) -> Cost:
        return self._joined(other, -1)

    def _joined(self, other: Cost, sign: int) -> Cost:
        products = dict(self.products)
        for sizes, count in other.products.items():
            products[sizes] = products.get(sizes, 0) + sign * count
        return Cost(
            self.operations + sign * other.operations,
            self.parameters + sign * other.parameters,
            products,
        )

    @property
    def multiplications(self) -> int | None:
        """For one sample; None where they depend on a size that is open."""
        total = 0
        for sizes, count in self.products.items():
            known = [n for n in sizes if n is not None]
            if count and len(known) < len(sizes):
                return None
            total += count * math.prod(known)
        return total


@dataclass(frozen=True)
class Entry:
    """The calls of one layer name.

    Attributes:
        kind: the class of the layer.
        place: the index of its first call, in the order in which the calls run.
        cost: of all its calls.
    """

    kind: str
    place: int
    cost: Cost


Census = dict[str, Entry]
"""The calls of a graph, and of the models nested in it, by the name of the layer."""


def take_census(graph: Graph) -> Census:
    """Count what every call of ``graph`` and of the models nested in it costs, O(calls)."""
    census: Census = {}
    known: dict[Op, Shapes] = {}
    runs: dict[Graph, int] = {}
    place = 0
    for inner in graph.graphs():
        times = _times(inner, runs)
        for node in inner.nodes:
            place += 1
            op, name = node.op.innermost, node.op.name
            parameters = 0
            if op not in known:
                known[op] = _shapes(op)
                parameters = sum(map(math.prod, known[op].values()))
            call = Cost() if op.graph else _call_cost(node, known[op])
            products = {sizes: n * times for sizes, n in call.products.items()}
            cost = Cost(call.operations * times, parameters, products)
            old = census.get(name)
            census[name] = (
                Entry(op.type_name, place, cost)
                if old is None
                else Entry(old.kind, old.place, old.cost + cost)
            )
    return census


def _times(graph: Graph, known: dict[Graph, int]) -> int:
    """How many times one run of the outermost model runs this one; ``known`` is filled.

    Models that call each other twice make many calls of few models.
    """
    if graph not in known:
        if graph.caller is None:
            known[graph] = 1
        else:
            known[graph] = sum(_times(node.graph, known) for node in graph.caller.calls())
    return known[graph]


def _shapes(op: Op) -> Shapes:
    """The shapes of the weights of a layer, as passes left them; none of a nested model."""
    if op.graph is not None or not isinstance(op.layer, layers.Layer):
        return {}
    shapes = {name: tuple(x.shape) for name, x in named_weights(op.layer).items()}
    for name, value in op.weights.items():
        shapes.pop(name, None)
        if value is not None:
            shapes[name] = tuple(value.shape)
    return shapes


def _call_cost(node: Node, shapes: Shapes) -> Cost:
    op = node.op.innermost
    if isinstance(op.layer, _FREE) or is_identity(op.layer):
        return Cost()
    result = node.outputs[0]
    if any(name in shapes for name in _KERNELS):
        activates = op.setting("activation") not in (None, keras.activations.linear)
        return Cost(("bias" in shapes) + activates, 0, _products(node, result, shapes))
    if isinstance(op.layer, layers.BatchNormalization):
        return Cost(2, 0, {result.shape[1:]: 1})
    try:
        affine = Affines().of(node)
    except Refused:  # it may be one
        affine = None
    if affine is not None:
        return Cost(affine.cost, 0, {result.shape[1:]: 1} if affine.scales else {})
    if is_sum(op) or isinstance(op.layer, _ELEMENTWISE):
        return Cost(max(len(node.operands) - 1, 1))
    return Cost(1 + sum(name in shapes for name in ("gamma", "beta")))


def _products(node: Node, result: Tensor, shapes: Shapes) -> dict[Sizes, int]:
    """The multiplications of a kernel, by the sizes over which they are repeated."""
    op = node.op.innermost
    if isinstance(op.layer, layers.EinsumDense):
        terms, _, out = op.layer.equation.partition("->")
        kernel = zip(terms.split(",")[1], shapes["kernel"], strict=False)
        return {result.shape[1:]: math.prod(n for label, n in kernel if label not in out)}
    source = node.data if isinstance(op.layer, _TRANSPOSED) else None
    sizes = list((result if source is None else source).shape[1:])
    # A wrapper such as TimeDistributed has an axis of its own before those of the layer.
    channels = (0 if op is node.op else 1) if is_channels_first(op.layer) else len(sizes) - 1
    del sizes[channels : channels + 1]
    return {tuple(sizes): sum(math.prod(shapes[name]) for name in _KERNELS if name in shapes)}
