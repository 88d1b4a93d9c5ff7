"""What TensorFlow executes of a model, after Grappler, and what the model's layers let one expect.

The graph is that of the run metadata: the ops that the executor ran, with the fusions of Grappler's
remapper. Which there are depends on oneDNN, which TensorFlow uses by itself where the CPU has
AVX512-VNNI or AMX. That can be chosen only before TensorFlow is imported; hence another process:

    TF_ENABLE_ONEDNN_OPTS=0 python tests/zoo/executed.py small MobileNetV2
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

ACTIVATIONS = {"Relu", "Relu6"}
CONTRACTIONS = {"Conv2D", "MatMul"}
"""What the remapper fuses with a bias on every CPU: depthwise convolutions need oneDNN."""
SUMS = {"AddV2", "AddN"}
"""Grappler makes one AddN of sums of sums."""
PARAMETER = {"ReadVariableOp", "Const"}
RESHAPES = {"Reshape", "Squeeze", "ExpandDims", "Identity"}


@dataclass(frozen=True)
class Operation:
    """One executed op: ``inputs`` are names of ops, ``fused`` what the remapper put into it."""

    name: str
    op: str
    fused: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The op, with what is fused into it: ``_FusedConv2D[BiasAdd+Relu]``."""
        return f"{self.op}[{'+'.join(self.fused)}]" if self.fused else self.op


@dataclass(frozen=True)
class Expected:
    """What the layers of a model let one expect, each relu of one tensor counted once."""

    normalizations: int = 0
    biased: int = 0
    """Convolutions with a bias, separable ones too."""
    unbiased: int = 0
    depthwise: int = 0
    depthwise_biased: int = 0
    fusible: int = 0
    """ReLUs of a convolution's output that nothing else reads."""
    activations: int = 0
    additions: int = 0
    paddings: int = 0


@dataclass
class Executed:
    """The graph that ran."""

    operations: list[Operation]
    expected: Expected
    readers: dict[str, list[Operation]] = field(init=False)
    by_name: dict[str, Operation] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {x.name: x for x in self.operations}
        self.readers = {name: [] for name in self.by_name}
        for operation in self.operations:
            for name in operation.inputs:
                self.readers[name].append(operation)

    def kinds(self) -> Counter[str]:
        return Counter(x.kind for x in self.operations)

    def additions(self) -> int:
        """How often two tensors are added: an op of n operands does it n - 1 times."""
        return sum(len(x.inputs) - 1 for x in self.operations if x.op in SUMS)

    def sources(self, operation: Operation) -> list[Operation]:
        return [self.by_name[name] for name in operation.inputs]

    def is_parameter(self, operation: Operation) -> bool:
        """Whether it hands on a weight, reshaped perhaps."""
        while operation.op in RESHAPES:
            operation = self.by_name[operation.inputs[0]]
        return operation.op in PARAMETER

    def unfused(self) -> list[str]:
        """Every op that could have been part of the one before it, with the reason."""
        return [
            f"{x.name}: {x.kind}: {reason}" for x in self.operations if (reason := self._why(x))
        ]

    def _why(self, operation: Operation) -> str:
        sources = self.sources(operation)
        if operation.op in {"Mul", "Sub", "Rsqrt", *SUMS}:
            if any(self.is_parameter(x) for x in sources):
                return "arithmetic with a weight"
            return "" if operation.op in SUMS else "arithmetic that no layer asks for"
        if operation.op == "BiasAdd" and sources[0].op in CONTRACTIONS:
            return f"a bias beside {sources[0].name}"
        if operation.op in ACTIVATIONS and self.readers[sources[0].name] == [operation]:
            before = sources[0]
            if before.op in CONTRACTIONS or before.fused == ("BiasAdd",):
                return f"an activation beside {before.name}, which nothing else reads"
        return ""


def run(*networks: str) -> dict[str, tuple[Executed, Executed]]:
    """By name, what is executed of each network and of its reduction, found out in a process."""
    environment = {
        **os.environ,
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    command = [sys.executable, __file__, *networks]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    results = json.loads(done.stdout.splitlines()[-1])
    return {
        name: (_read(original), _read(reduced)) for name, (original, reduced) in results.items()
    }


def _read(values: dict[str, Any]) -> Executed:
    operations = [
        Operation(x["name"], x["op"], tuple(x["fused"]), tuple(x["inputs"]))
        for x in values["operations"]
    ]
    return Executed(operations, Expected(**values["expected"]))


def _main() -> None:
    import keras

    import kito
    from kito.runtime.random_inputs import random_inputs
    from kito.runtime.random_weights import randomize_weights

    results: dict[str, Any] = {}
    for network in sys.argv[1:]:
        model = NETWORKS[network]()
        inputs = random_inputs(model, samples=2, seed=1, high=255.0)
        randomize_weights(model, inputs, seed=2)
        results[network] = [
            {"operations": [asdict(x) for x in _execute(x)], "expected": asdict(_expect(x))}
            for x in (model, kito.reduce(model).model)
        ]
        keras.backend.clear_session()
    print(json.dumps(results))  # noqa: T201


def _execute(model: Any) -> list[Operation]:
    import tensorflow as tf

    # There is no public way to the graph that the executor ran.
    from tensorflow.python.eager import context

    batch = tf.zeros((2, *model.input_shape[1:]))
    function = tf.function(lambda x: model(x, training=False), autograph=False)
    function.get_concrete_function(batch)
    state = context.context()
    state.enable_run_metadata()
    state.export_run_metadata()  # those of single eager ops, such as reads of variables
    function(batch)
    metadata = state.export_run_metadata()
    state.disable_run_metadata()
    graphs = [y for x in metadata.function_graphs for y in x.partition_graphs]
    (graph,) = graphs
    assert not graph.library.function, "an op calls a function: its ops would not be counted"
    return [
        Operation(
            node.name,
            node.op,
            tuple(x.decode() for x in node.attr["fused_ops"].list.s),
            tuple(x.split(":")[0] for x in node.input if not x.startswith("^")),
        )
        for node in graph.node
    ]


def _expect(model: Any) -> Expected:
    from keras import layers

    from kito.graph.read import read_graph

    convolutions = (layers.Conv2D, layers.SeparableConv2D)
    graph = read_graph(model)
    count: Counter[str] = Counter()
    for node in graph.nodes:
        layer = node.op.layer
        if isinstance(layer, layers.BatchNormalization):
            count["normalizations"] += 1
        elif isinstance(layer, layers.DepthwiseConv2D):  # a kind of Conv2D to no one
            count["depthwise"] += 1
            count["depthwise_biased"] += layer.use_bias
        elif isinstance(layer, convolutions):
            count["biased" if layer.use_bias else "unbiased"] += 1
            count["depthwise"] += isinstance(layer, layers.SeparableConv2D)
        elif isinstance(layer, layers.Add):
            count["additions"] += len(node.inputs) - 1
        elif isinstance(layer, layers.ZeroPadding2D):
            count["paddings"] += 1
        for tensor in node.outputs:
            active = [user for user in tensor.users if _is_relu(user.op.layer)]
            count["activations"] += bool(active)
            alone = len(active) == len(tensor.users) and not graph.is_output(tensor)
            dense = isinstance(layer, convolutions)
            count["fusible"] += bool(active) and alone and dense
    return Expected(**count)


def _is_relu(layer: Any) -> bool:
    from keras import layers

    if isinstance(layer, layers.Activation):
        return layer.activation.__name__ in {"relu", "relu6"}
    return isinstance(layer, layers.ReLU)


def _small() -> Any:
    """One of everything: what can be fused, and what cannot for each of the reasons there are."""
    import keras

    layers = keras.layers

    def normalized(x: Any, layer: Any) -> Any:
        return layers.BatchNormalization()(layer(x))

    image = keras.Input((16, 16, 3))
    x = layers.ReLU()(normalized(image, layers.Conv2D(8, 3, padding="same", use_bias=False)))
    a = layers.ReLU()(normalized(x, layers.Conv2D(8, 3, padding="same")))
    # Read as it is and active; the two ReLUs of it are one.
    b = normalized(a, layers.SeparableConv2D(8, 3, padding="same"))
    b_1 = normalized(layers.ReLU()(b), layers.SeparableConv2D(8, 3, padding="same"))
    b_2 = normalized(layers.Activation("relu")(b), layers.SeparableConv2D(8, 5, padding="same"))
    # A sum, and a concatenation.
    total = layers.Add()([layers.Add()([b_1, b_2]), layers.AveragePooling2D(3, 1, "same")(b)])
    c = layers.ReLU()(layers.Concatenate()([layers.ReLU()(total), b, x]))
    c = layers.ReLU(6.0)(normalized(c, layers.DepthwiseConv2D(3, padding="same")))
    c = layers.ReLU(6.0)(normalized(c, layers.Conv2D(8, 1)))
    c = layers.GlobalAveragePooling2D()(c)
    return keras.Model(image, layers.Dense(4, activation="softmax")(c))


def _application(name: str, size: int) -> Callable[[], Any]:
    def build() -> Any:
        import keras

        return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))

    return build


NETWORKS: dict[str, Callable[[], Any]] = {
    "small": _small,
    **{
        name: _application(name, size=96)
        for name in ("MobileNetV2", "NASNetMobile", "ResNet50", "ResNet50V2")
    },
}

if __name__ == "__main__":
    _main()
