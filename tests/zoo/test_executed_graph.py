"""What TensorFlow executes of a reduced model: everything is fused that its CPU can fuse.

Without oneDNN: with it the ops have other names, and TensorFlow uses it on some CPUs only.
"""

from __future__ import annotations

import keras
import pytest

from zoo import executed
from zoo.executed import ACTIVATIONS, Executed

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the fusions are TensorFlow's"
)

SMALL_ONES = ("small", "MobileNetV2")
each_network = pytest.mark.parametrize(
    "network",
    [
        *SMALL_ONES,
        *(pytest.param(x, marks=pytest.mark.nightly) for x in ("NASNetMobile", "ResNet50")),
    ],
)


class Graphs(dict[str, tuple[Executed, Executed]]):
    """By name, what is executed of the original and of its reduction; found out when asked for."""

    def __missing__(self, name: str) -> tuple[Executed, Executed]:
        self.update(executed.run(*(SMALL_ONES if name in SMALL_ONES else (name,))))
        return self[name]


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    return Graphs()


@each_network
def test_nothing_is_left_that_could_be_fused(network: str, graphs: Graphs) -> None:
    original, reduced = graphs[network]
    assert reduced.unfused() == []
    assert len(original.unfused()) >= original.expected.normalizations


@each_network
def test_executes_what_the_layers_ask_for(network: str, graphs: Graphs) -> None:
    _, reduced = graphs[network]
    kinds, layers = reduced.kinds(), reduced.expected
    assert layers.normalizations == 0
    assert layers.fusible > 0

    def fused(activation: str) -> int:
        return kinds[f"_FusedConv2D[BiasAdd+{activation}]"]

    active = sum(fused(x) for x in ACTIVATIONS)
    # Every convolution with a bias is one op with it, and with the ReLU that alone reads it.
    assert active == layers.fusible
    assert active + kinds["_FusedConv2D[BiasAdd]"] == layers.biased
    assert kinds["Conv2D"] == layers.unbiased
    assert sum(kinds[x] for x in ACTIVATIONS) == layers.activations - layers.fusible
    assert kinds["DepthwiseConv2dNative"] == layers.depthwise
    assert kinds["BiasAdd"] == layers.depthwise_biased
    assert reduced.additions() == layers.additions
    assert kinds["Pad"] == layers.paddings
    assert not kinds.keys() & {"Rsqrt", "Mul", "Sub", "FusedBatchNormV3"}


@each_network
def test_why_a_relu_is_left(network: str, graphs: Graphs) -> None:
    """It reads no convolution, or one that something else reads too, or a depthwise one."""
    _, reduced = graphs[network]
    left = [x for x in reduced.operations if x.op in ACTIVATIONS]
    assert left
    for relu in left:
        (before,) = reduced.sources(relu)
        if "Conv2D" in before.op:
            assert before.fused == ("BiasAdd",)
            assert len(reduced.readers[before.name]) > 1
        elif before.op == "BiasAdd":
            assert reduced.sources(before)[0].op == "DepthwiseConv2dNative"
        else:
            assert before.op in {"AddV2", "AddN", "ConcatV2"}


@each_network
def test_the_original_fuses_less(network: str, graphs: Graphs) -> None:
    original, reduced = graphs[network]
    before, after = original.kinds(), reduced.kinds()
    # TensorFlow computes scale and shift of each BatchNormalization anew in every call.
    assert before["Rsqrt"] == before["Sub"] == original.expected.normalizations > 0
    assert before["Mul"] >= 3 * before["Rsqrt"]
    assert not any(f"_FusedConv2D[BiasAdd+{x}]" in before for x in ACTIVATIONS)
    # A ReLU becomes part of a convolution, it does not disappear.
    fused = sum(after[f"_FusedConv2D[BiasAdd+{x}]"] for x in ACTIVATIONS)
    alone = sum(after[x] for x in ACTIVATIONS)
    assert fused + alone == sum(before[x] for x in ACTIVATIONS)
    assert len(reduced.operations) < len(original.operations) / 2


def test_sees_what_is_not_fused() -> None:
    """The judge of the tests above, on graphs that are wrong in one place each."""

    def judge(*operations: tuple[str, str, tuple[str, ...], tuple[str, ...]]) -> list[str]:
        weight = executed.Operation("w", "ReadVariableOp", (), ())
        reshaped = executed.Operation("w_1", "Reshape", (), ("w",))
        data = executed.Operation("x", "_Arg", (), ())
        rest = [executed.Operation(*x) for x in operations]
        return Executed([weight, reshaped, data, *rest], executed.Expected()).unfused()

    conv = ("conv", "Conv2D", (), ("x", "w"))
    biased = ("conv", "_FusedConv2D", ("BiasAdd",), ("x", "w", "w"))
    relu = ("relu", "Relu", (), ("conv",))
    assert judge(conv) == judge(biased) == []
    assert len(judge(conv, ("bias", "BiasAdd", (), ("conv", "w")))) == 1
    assert len(judge(conv, ("add", "AddV2", (), ("conv", "w_1")))) == 1
    assert len(judge(conv, relu)) == len(judge(biased, relu)) == 1
    assert judge(biased, relu, ("add", "AddV2", (), ("conv", "relu"))) == []
    assert len(judge(("scale", "Mul", (), ("x", "w")))) == 1
    assert len(judge(("product", "Mul", (), ("x", "x")))) == 1
    assert judge(("depthwise", "DepthwiseConv2dNative", (), ("x", "w"))) == []
