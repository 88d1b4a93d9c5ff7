"""Rewrites of an ONNX graph: the same function, by fewer operators, and only where it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from kito.export.formats.interface import Interface
from kito.export.formats.names import available_format
from kito.export.onnx_graph.names import make_canonical
from kito.export.onnx_graph.rewrite import rewrite_graph
from kito.runtime.run import to_numpy

RNG = np.random.default_rng(0)
Nodes = list[Any]


def random(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def node(kind: str, takes: str, gives: str, **attributes: Any) -> Any:
    return helper.make_node(kind, takes.split(), [gives], **attributes)


def graph(nodes: Nodes, outputs: str = "y", shape: Any = (3, 8, 8), **constants: Any) -> Any:
    """A model of one input ``x`` of (batch, *shape) whose nodes use the constants by name."""
    values = []
    for name, value in constants.items():
        kind = np.int64 if isinstance(value, list) else np.float32
        values.append(numpy_helper.from_array(np.asarray(value, kind), name))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])
    results = [helper.make_tensor_value_info(y, TensorProto.FLOAT, None) for y in outputs.split()]
    made = helper.make_graph(nodes, "g", [x], results, values)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)  # of the outputs


def operators(model: Any) -> Counter[str]:
    return Counter(x.op_type for x in model.graph.node)


def run(model: Any) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    shape = session.get_inputs()[0].shape[1:]
    x = 4 * np.random.default_rng(1).normal(size=(5, *shape)).astype("float32")
    return list(session.run(None, {"x": x}))


def rewritten(model: Any) -> Counter[str]:
    """The operators after all rewrites, which leave the function as it is."""
    expected, outputs = run(model), [x.name for x in model.graph.output]
    rewrite_graph(model)
    make_canonical(model.graph, outputs)
    onnx.checker.check_model(model, full_check=True)
    for actual, wanted in zip(run(model), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())
    return operators(model)


HARD_SWISH = {"three": 3, "zero": 0, "six": 6, "sixth": 1 / 6}


def hard_swish(outputs: str = "y", **constants: Any) -> Any:
    nodes = [
        node("Add", "x three", "a"),
        node("Clip", "a zero six", "c"),
        node("Mul", "c sixth", "s"),
        node("Mul", "x s", "y"),
    ]
    return graph(nodes, outputs, **{**HARD_SWISH, **constants})


def test_a_hard_swish_is_a_hard_sigmoid_and_a_product() -> None:
    assert rewritten(hard_swish()) == {"HardSigmoid": 1, "Mul": 1}


@pytest.mark.parametrize(
    "constants",
    [
        {"sixth": 0.2},  # its upper limit is 1.2
        {"zero": -1},
        {"three": random(3, 1, 1)},
        {"three": random(1, 1, 1, 1, 1)},  # it adds an axis
    ],
)
def test_any_other_clip_stays(constants: Any) -> None:
    assert "HardSigmoid" not in rewritten(hard_swish(**constants))


def test_a_clip_that_is_used_elsewhere_stays() -> None:
    assert rewritten(hard_swish("y c"))["Clip"] == 1


def gelu(factor: float = 0.5, root: float = 0.5**0.5, other: str = "x") -> Any:
    nodes = [
        node("Relu", "x", "z"),
        node("Mul", "half x", "h"),
        node("Neg", other, "n"),
        node("Mul", "n root", "m"),
        node("Erf", "m", "e"),
        node("Sub", "one e", "s"),
        node("Mul", "h s", "y"),
    ]
    return graph(nodes, half=factor, root=root, one=1)


def test_a_gelu_has_the_form_that_the_engine_knows(tmp_path: Path) -> None:
    model = gelu()
    assert rewritten(model) == {"Div": 1, "Erf": 1, "Add": 1, "Mul": 2}
    assert optimized(model, tmp_path) == {"Gelu": 1}


@pytest.mark.parametrize("model", [gelu(factor=0.4), gelu(root=0.7), gelu(other="z")])
def test_what_only_looks_like_a_gelu_stays(model: Any) -> None:
    assert rewritten(model)["Neg"] == 1


def affine(scale: np.ndarray, shift: np.ndarray, outputs: str = "y") -> Any:
    nodes = [node("Mul", "scale x", "m"), node("Add", "m shift", "y")]
    return graph(nodes, outputs, scale=scale, shift=shift)


def test_a_scale_and_a_shift_by_channel_are_one_operator() -> None:
    assert rewritten(affine(random(1, 3, 1, 1), random(3, 1, 1))) == {"BatchNormalization": 1}


@pytest.mark.parametrize(
    "model",
    [
        affine(random(3, 8, 8), random(3, 1, 1)),
        affine(random(3, 1, 1), random(8)),
        affine(random(1, 1, 1, 1), random(1, 1, 1, 1)),  # as of a Rescaling, before a transpose
        affine(random(3, 1, 1), random(3, 1, 1), "m y"),
    ],
)
def test_other_products_and_sums_stay(model: Any) -> None:
    assert rewritten(model) == {"Mul": 1, "Add": 1}


def normalized(axis: int = 1, other: str = "x", before: str = "Relu") -> Any:
    nodes = [
        node(before, "x", "r"),
        node("ReduceMean", "x", "mean", axes=[axis]),
        node("Sub", f"{other} mean", "d"),
        node("Mul", "d d", "dd"),
        node("ReduceMean", "dd", "var", axes=[axis]),
        node("Add", "var epsilon", "v"),
        node("Sqrt", "v", "root"),
        node("Reciprocal", "root", "inverse"),
        node("Mul", "inverse gamma", "s"),
        node("Mul", "x s", "xs"),
        node("Neg", "mean", "n"),
        node("Mul", "n s", "ns"),
        node("Add", "beta ns", "shift"),
        node("Add", "xs shift", "z"),
        node("Add", "z r", "y"),
    ]
    vector = (8, 1, 1) if axis == 1 else (8,)
    return graph(nodes, shape=(8, 8, 8), epsilon=0.01, gamma=random(*vector), beta=random(*vector))


def test_a_layer_normalization_is_one_operator() -> None:
    channels_last = rewritten(normalized(axis=3))
    assert channels_last == {"Relu": 1, "LayerNormalization": 1, "Add": 1}
    model = normalized(axis=1)
    assert rewritten(model) == {"Relu": 1, "LayerNormalization": 1, "Add": 1, "Transpose": 2}
    assert model.opset_import[0].version == 17


@pytest.mark.parametrize(
    "model",
    [
        normalized(axis=2),
        normalized(other="r"),
        normalized(before="LeakyRelu"),  # another operator since opset 16
    ],
)
def test_what_only_looks_like_a_layer_normalization_stays(model: Any) -> None:
    assert rewritten(model)["Sqrt"] == 1


def dense(sizes: list[int], measured: str = "x", last: int = 5) -> Any:
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", measured, "s0"),
        node("Cast", "s0", "s", to=TensorProto.INT32),
        node("Gather", "s sizes", "s1", axis=0),
        node("Concat", "s1 n", "s2", axis=0),
        node("Cast", "s2", "s3", to=TensorProto.INT64),
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t flat", "f"),
        node("MatMul", "f kernel", "m"),
        node("Reshape", "m s3", "z"),
        node("ReduceSum", "r", "q", keepdims=0),
        node("Add", "z q", "y"),
    ]
    model = graph(nodes, flat=[-1, 3], kernel=random(3, 5), sizes=sizes, n=[last])
    [n] = [x for x in model.graph.initializer if x.name == "n"]
    n.CopyFrom(numpy_helper.from_array(np.asarray([last], np.int32), "n"))
    return model


def test_a_product_of_images_needs_no_reshapes() -> None:
    model = dense([0, 2, 3])
    assert rewritten(model) == {"Relu": 1, "Transpose": 1, "MatMul": 1, "ReduceSum": 1, "Add": 1}


def test_a_product_that_is_reshaped_otherwise_stays() -> None:
    assert rewritten(dense([0, 3, 2]))["Reshape"] == 2
    assert rewritten(dense([0, 2, 3], "r"))["Reshape"] == 2  # not seen to have the same shape


def pooled(before: str = "Relu", value: float = 0.0, **attributes: Any) -> Any:
    nodes = [
        node(before, "x", "r"),
        node("Pad", "r pads value", "p"),
        node("MaxPool", "p", "y", **{"kernel_shape": [3, 3], "strides": [2, 2], **attributes}),
    ]
    return graph(nodes, pads=[0, 0, 1, 1, 0, 0, 2, 1], value=value)


def test_zeros_around_what_is_never_negative_are_the_poolings_own() -> None:
    assert rewritten(pooled()) == {"Relu": 1, "MaxPool": 1}


@pytest.mark.parametrize(
    "model",
    [
        pooled("Tanh"),
        pooled(value=0.5),
        pooled(kernel_shape=[2, 2]),  # as large as a pad: a window could hold zeros alone
        pooled(pads=[1, 1, 1, 1]),
        pooled(auto_pad="SAME_UPPER"),
        pooled(dilations=[2, 2]),
        pooled(ceil_mode=1),
    ],
)
def test_other_paddings_stay(model: Any) -> None:
    assert rewritten(model)["Pad"] == 1


def reshaped(*shapes: list[int]) -> Any:
    nodes = [node("GlobalAveragePool", "x", "a0"), node("Squeeze", "a0 axes", "a1")]
    constants: dict[str, Any] = {"axes": [2, 3]}
    for index, shape in enumerate(shapes, 1):
        constants[f"s{index}"] = shape
        nodes.append(node("Reshape", f"a{index} s{index}", f"a{index + 1}"))
    nodes.append(node("Neg", f"a{len(shapes) + 1}", "y"))
    return graph(nodes, **constants)


@pytest.mark.parametrize("shapes", [([-1, 3, 1, 1],), ([-1, 3, 1], [-1, 3, 1, 1])])
def test_reshapes_that_undo_each_other_are_left_out(shapes: Any) -> None:
    assert rewritten(reshaped(*shapes)) == {"GlobalAveragePool": 1, "Neg": 1}


@pytest.mark.parametrize("shape", [[-1, 1, 1, 1], [-1, 1, 3, 1], [5, 3, 1, 1]])
def test_other_reshapes_stay(shape: list[int]) -> None:
    assert rewritten(reshaped(shape))["Reshape"] == 1


def test_a_default_that_a_caller_may_replace_is_no_constant() -> None:
    model = affine(random(3, 1, 1), random(3, 1, 1))
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, (3, 1, 1)))
    assert rewritten(model) == {"Mul": 1, "Add": 1}


def optimized(model: Any, folder: Path) -> Counter[str]:
    """What ONNX Runtime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3  # it warns that such a file is for this machine only
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return operators(onnx.load(str(folder / "optimized.onnx")))


def network() -> keras.Model:
    """What MobileNetV3, DenseNet, ResNet and transformers are made of, with random weights."""
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(image)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    y = layers.Activation("hard_silu")(layers.Conv2D(16, 3, padding="same")(x))
    gate = layers.GlobalAveragePooling2D()(y)
    gate = layers.Reshape((1, 1, 16))(gate)
    gate = layers.Conv2D(16, 1, activation="hard_sigmoid")(gate)
    x = layers.Concatenate()([x, layers.Multiply()([y, gate])])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(16, 3, groups=4, activation="gelu")(x)
    x = layers.LayerNormalization()(x)
    x = layers.Dense(16, activation="gelu")(x)
    model = keras.Model(image, layers.Flatten()(x))
    for weight in model.weights:
        value = random(*weight.shape) / np.sqrt(np.prod(weight.shape[:-1]))
        weight.assign(1 + np.abs(value) if "variance" in weight.path else value)
    return model


def test_an_exported_model_is_rewritten_and_its_original_is_not(tmp_path: Path) -> None:
    model, found = network(), {}
    mean = vars(model.layers[1])["mean"]
    images = random(4, 16, 16, 3)
    expected = to_numpy(model(images))
    for rewrite in (False, True):
        path = tmp_path / f"{rewrite}.onnx"
        format_ = available_format("onnx").implementation()
        format_.write(model, path, "net", Interface.of(model), rewrite)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        [taken] = session.get_inputs()  # none for the constants of Normalization
        [actual] = session.run(None, {taken.name: images})
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        found[rewrite] = operators(onnx.load(str(path)))
    before = {"Pad": 1, "Clip": 2, "Erf": 2, "Neg": 3, "Shape": 1, "ReduceMean": 2}
    assert {name: found[False][name] for name in before} == before
    after = {"HardSigmoid": 2, "BatchNormalization": 1, "Erf": 2, "LayerNormalization": 1}
    after |= {"Reshape": 1, "MatMul": 1}
    assert {name: found[True][name] for name in {**before, **after}} == {
        **dict.fromkeys(before, 0),
        **after,
    }
    assert vars(model.layers[1])["mean"] is mean
