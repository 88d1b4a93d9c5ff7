"""Random graphs to draw with Hypothesis: chains, branches, shared layers, nested models, several
outputs; and the same as custom layers that hold layers, and as subclassed models."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from hypothesis import HealthCheck
from hypothesis import strategies as st

from kito.graph.keras_internals import all_layers

L = keras.layers
CHANNELS = 4
SHAPE = (6, 6, CHANNELS)

# Each makes layers that keep the shape (6, 6, 4), so that any tensors can be joined.
LINEAR = {
    "conv": lambda name: L.Conv2D(CHANNELS, 3, padding="same", name=name),
    "conv_1": lambda name: L.Conv2D(CHANNELS, 1, use_bias=False, name=name),
    "conv_grouped": lambda name: L.Conv2D(CHANNELS, 3, padding="same", groups=2, name=name),
    "conv_each": lambda name: L.Conv2D(CHANNELS, 3, padding="same", groups=CHANNELS, name=name),
    "conv_active": lambda name: L.Conv2D(CHANNELS, 1, activation="tanh", name=name),
    "conv_relu": lambda name: L.Conv2D(CHANNELS, 1, activation="relu", name=name),
    "conv_wide": lambda name: [L.Conv2D(9, 1, name=name), L.Conv2D(CHANNELS, 1)],
    "conv_narrow": lambda name: [L.Conv2D(1, 1, name=name), L.Conv2D(CHANNELS, 1)],
    "conv_valid": lambda name: [L.Conv2D(CHANNELS, 3, name=name), L.ZeroPadding2D(1)],
    "conv_padded": lambda name: [L.ZeroPadding2D(1), L.Conv2D(CHANNELS, 3, name=name)],
    "conv_strided": lambda name: [
        L.Conv2D(CHANNELS, 3, 2, padding="same", name=name),
        L.UpSampling2D(2),
    ],
    "depthwise": lambda name: L.DepthwiseConv2D(3, padding="same", use_bias=False, name=name),
    "depthwise_1": lambda name: L.DepthwiseConv2D(1, name=name),
    "depthwise_padded": lambda name: [L.ZeroPadding2D(1), L.DepthwiseConv2D(3, name=name)],
    "separable": lambda name: L.SeparableConv2D(CHANNELS, 3, padding="same", name=name),
    "separable_valid": lambda name: [L.SeparableConv2D(CHANNELS, 3, name=name), L.ZeroPadding2D(1)],
    "transposed": lambda name: L.Conv2DTranspose(CHANNELS, 3, padding="same", name=name),
    "dense": lambda name: L.Dense(CHANNELS, name=name),
    "dense_flat": lambda name: [L.Flatten(), L.Dense(144, name=name), L.Reshape(SHAPE)],
    "einsum": lambda name: L.EinsumDense("abcd,de->abce", SHAPE, name=name),
    "distributed": lambda name: L.TimeDistributed(L.Conv1D(CHANNELS, 3, padding="same"), name=name),
}
OTHER = {
    "norm": L.BatchNormalization,
    "norm_bare": lambda name: L.BatchNormalization(center=False, scale=False, name=name),
    "norm_rows": lambda name: L.BatchNormalization(axis=1, name=name),
    "norm_positive": lambda name: L.BatchNormalization(scale=False, name=name),
    "rescaling": lambda name: L.Rescaling(0.5, -0.25, name=name),
    "normalization": lambda name: L.Normalization(mean=[0.5, -1.0, 0.0, 2.0], variance=2.0 * ONES),
    "relu": L.ReLU,
    "relu_6": lambda name: L.ReLU(6.0, name=name),
    "leaky": L.LeakyReLU,
    "prelu": lambda name: L.PReLU(alpha_initializer="ones", shared_axes=[1, 2], name=name),
    "tanh": lambda name: L.Activation("tanh", name=name),
    "linear": lambda name: L.Activation("linear", name=name),
    "dropout": lambda name: L.Dropout(0.3, name=name),
    "pool": lambda name: L.AveragePooling2D(3, strides=1, padding="same", name=name),
    "pool_up": lambda name: [L.AveragePooling2D(2, name=name), L.UpSampling2D(2)],
    "max_pool": lambda name: L.MaxPooling2D(3, strides=1, padding="same", name=name),
    "crop": lambda name: [L.Cropping2D(1, name=name), L.ZeroPadding2D(1)],
    "crop_resize": lambda name: [L.Cropping2D(1, name=name), L.Resizing(6, 6)],
    "permute": lambda name: [L.Permute((2, 1, 3), name=name)],
    "permute_channels": lambda name: [L.Permute((3, 1, 2), name=name), L.Permute((2, 3, 1))],
    "reshape": lambda name: [L.Reshape((9, 4, 4), name=name), L.Reshape(SHAPE)],
    "layer_norm": L.LayerNormalization,
    "layer_norm_dense": lambda name: [L.LayerNormalization(), L.Dense(CHANNELS, name=name)],
    "group_norm": lambda name: L.GroupNormalization(2, name=name),
}
OPERATIONS = {  # by keras.ops, as an operator of PyTorch takes no array beside a tensor
    "times": lambda x: keras.ops.multiply(x, np.array([0.5, -1.5, 2.0, 1.0], "float32")),
    "plus": lambda x: keras.ops.add(x, np.array([0.5, -1.5, 2.0, 0.0], "float32")),
    "minus": lambda x: 1.0 - x,
    "half": lambda x: x / 2,
    "times_rows": lambda x: keras.ops.multiply(
        x, np.linspace(0.5, 2.0, 6, dtype="float32").reshape(6, 1, 1)
    ),
    "swish": lambda x: x * (L.ReLU(6.0)(x + 3.0) * (1 / 6)),
    "gate": lambda x: x * L.Dense(CHANNELS)(L.GlobalAveragePooling2D(keepdims=True)(x)),
    "attend": lambda x: _attend(L.LayerNormalization()(x)),
    "repvgg": lambda x: L.Add()(
        [
            L.BatchNormalization()(L.Conv2D(CHANNELS, 3, padding="same", use_bias=False)(x)),
            L.BatchNormalization()(L.Conv2D(CHANNELS, 1, use_bias=False)(x)),
            L.BatchNormalization()(x),
        ]
    ),
    "branches": lambda x: L.Add()(
        [
            L.DepthwiseConv2D(3, padding="same")(x),
            L.Conv2D(CHANNELS, 3, groups=2, padding="same")(x),
            L.Conv2D(CHANNELS, (1, 3), padding="same")(x),
            x,
        ]
    ),
}
AGAIN = ("again", "again_two")
JOINS = ("add", "multiply", "concatenate", "rows", "operator", "average")
ONES = np.ones(CHANNELS)


@dataclass(frozen=True)
class Step:
    """One call: ``what`` is a key, a join, a call again, or what is nested; the rest picks tensors.

    Numbers are taken modulo what there is to pick from.
    """

    what: Any
    newest: bool
    source: int
    other: int


@dataclass(frozen=True)
class Plan:
    """A model of inputs and outputs of one shape."""

    inputs: int
    steps: tuple[Step, ...]
    second_output: int | None
    seed: int


@dataclass(frozen=True)
class Block:
    """A custom layer that holds layers; or one that is called again, by the number of ``again``."""

    steps: tuple[Step, ...]
    own_weight: bool
    again: int | None


# Keras cannot build a Normalization in a layer that has no build().
INSIDE = [*sorted(LINEAR), *sorted({*OTHER} - {"normalization"})]
INSIDE += ["times", "plus", "minus", "half", "times_rows"]


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0) -> Block:
    """Up to 5 calls in a custom layer, some of them of custom layers."""
    what: Any = st.one_of(st.sampled_from(INSIDE), st.just("norm"), st.just("add"))
    if depth < 2:
        what = st.one_of(what, what, what, blocks(depth=depth + 1))
    number = st.integers(0, 7)
    step = st.builds(Step, what, st.sampled_from([True, True, True, False]), number, number)
    held = st.builds(Step, st.sampled_from(sorted(LINEAR)), st.just(True), number, number)
    steps = [draw(held), *draw(st.lists(step, max_size=4))]
    return Block(tuple(steps), draw(st.booleans()), draw(st.none() | st.integers(0, 3)))


class Composite(L.Layer):
    """What a block describes: its layers are its own, and it calls them itself."""

    def __init__(self, block: Block, names: Any, others: list[Any], **kwargs: Any) -> None:
        super().__init__(name=next(names), **kwargs)
        self.block = block
        self.parts = [_made(step.what, names, others) for step in block.steps]

    def build(self, shape: Any) -> None:
        if self.block.own_weight:
            self.own = self.add_weight(shape=(CHANNELS,), name="own")
        self.run(keras.ops.zeros((1, *SHAPE)))

    def run(self, x: Any) -> Any:
        """The calls."""
        tensors = [x]
        for step, layers in zip(self.block.steps, self.parts, strict=True):
            y = tensors[-1 if step.newest else step.source % len(tensors)]
            if step.what == "add":
                y = y + tensors[step.other % len(tensors)]
            elif step.what in OPERATIONS:
                y = OPERATIONS[step.what](y)
            for layer in layers:
                y = layer(y)
            tensors.append(y)
        return tensors[-1]

    def call(self, x: Any) -> Any:
        y = self.run(x)
        return self.own * y if self.block.own_weight else y

    def get_config(self) -> dict[str, Any]:
        raise TypeError("this layer can only be opened")


def _made(what: Any, names: Any, others: list[Any]) -> list[Any]:
    """The layers of one call inside of a custom layer; ``others`` are the custom ones so far."""
    if isinstance(what, Block):
        if what.again is not None and others:
            return [others[what.again % len(others)]]
        others.append(Composite(what, names, others))
        return [others[-1]]
    if what == "add" or what in OPERATIONS:
        return []
    made = {**LINEAR, **OTHER}[what](name=next(names))
    return made if isinstance(made, list) else [made]


class Whole(keras.Model):
    """A subclassed model of one block."""

    def __init__(self, block: Block) -> None:
        super().__init__(name="whole")
        self.inside = Composite(block, (f"x_{i}" for i in itertools.count()), [])

    def call(self, x: Any) -> Any:
        return keras.ops.tanh(self.inside.run(self.inside(x)))


@st.composite
def plans(draw: st.DrawFn, depth: int = 0) -> Plan:
    """Up to 10 calls, some of them of layers and models that were called before."""
    keys = st.sampled_from([*sorted(LINEAR), *sorted(LINEAR), *sorted(OTHER), *sorted(OPERATIONS)])
    what: Any = st.one_of(keys, st.just("norm"), st.sampled_from(JOINS), st.sampled_from(AGAIN))
    if depth < 2:
        what = st.one_of(what, what, what, plans(depth=depth + 1), blocks(depth=1))
    number = st.integers(0, 7)
    step = st.builds(Step, what, st.sampled_from([True, True, True, False]), number, number)
    return Plan(
        draw(st.integers(1, 2)) if depth == 0 else 1,
        tuple(draw(st.lists(step, min_size=2, max_size=10 if depth == 0 else 4))),
        draw(st.none() | number),
        draw(st.integers(0, 2**16)),
    )


def build(
    plan: Plan,
    outside: Sequence[Any] | None = None,
    names: Any = None,
    custom: list[Any] | None = None,
) -> Any:
    """The model of a plan, with weights.

    ``outside``: what the model around it called before; ``custom``: the custom layers so far.
    """
    custom = [] if custom is None else custom
    # Layers are named as kito names the copies that it has to make.
    names = names or (f"x_{i}" if i else "x" for i in itertools.count())
    inputs = [keras.Input(SHAPE) for _ in range(plan.inputs)]
    tensors: list[Any] = list(inputs)
    called = [] if outside is None else [x for x in outside if not isinstance(x, keras.Model)]
    for step in plan.steps:
        # Mostly the newest tensor, so that chains arise.
        x = tensors[-1 if step.newest else step.source % len(tensors)]
        if step.what in JOINS:
            tensors.append(_join(step.what, x, tensors[step.other % len(tensors)]))
            continue
        if step.what in OPERATIONS:
            tensors.append(OPERATIONS[step.what](x))
            continue
        if step.what in AGAIN:  # of two that were called one after the other, say
            first = step.other % max(len(called), 1)
            layers = called[first : first + 1 + (step.what == "again_two")]
            if any(isinstance(layer, Composite) for layer in layers):
                x = x + 0.0  # as for a Block
        elif isinstance(step.what, Plan):
            layers = [build(step.what, called, names, custom)]
        elif isinstance(step.what, Block):
            layers = _made(step.what, names, custom)
            x = x + 0.0  # Keras takes the product with a constant for sparse, and fails on it here
        else:
            made = {**LINEAR, **OTHER}[step.what](name=next(names))
            layers = made if isinstance(made, list) else [made]
            called += [] if len(layers) > 1 else layers  # the shape within is another
            for layer in layers:
                x = layer(x)
            tensors.append(x)
            continue
        for layer in layers:
            called.append(layer)
            x = layer(x)
            tensors.append(x)
    if outside is not None:
        return keras.Model(inputs, tensors[-1], name=next(names))
    results = [tensors[-1]]
    if plan.second_output is not None:
        made = tensors[len(inputs) :] or inputs
        results.append(made[plan.second_output % len(made)])
    model = keras.Model(inputs, results)
    weigh(model, plan.seed)
    return model


def _join(kind: str, a: Any, b: Any) -> Any:
    if kind == "concatenate":
        return L.Conv2D(CHANNELS, 1)(L.Concatenate()([a, b]))
    if kind == "rows":
        return L.Cropping2D(((3, 3), (0, 0)))(L.Concatenate(axis=1)([a, b]))
    if kind == "operator":
        return a * 0.5 + b
    if kind == "multiply":
        return L.Multiply()([L.Activation("tanh")(a), b])
    return (L.Add if kind == "add" else L.Average)()([a, b])


def _attend(x: Any) -> Any:
    return L.MultiHeadAttention(2, 3, attention_axes=2)(x, x)


def weigh(model: Any, seed: int) -> None:
    """Random weights of a size that keeps signals near 1; gammas of both signs, and zeros."""
    rng = np.random.default_rng(seed)
    for layer in all_layers(model):
        if getattr(layer, "layers", None):
            continue
        for variable in layer.weights:
            shape, name = tuple(variable.shape), variable.name
            if "variance" in name:
                values = rng.uniform(0.3, 3.0, shape)
            elif name == "gamma":
                values = rng.uniform(-1.5, 1.5, shape) * (rng.random(shape) > 0.15)
            elif len(shape) > 1:
                values = rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
            else:
                values = rng.normal(0, 0.3, shape)
            variable.assign(values)


RELAXED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "print_blob": True,
}
