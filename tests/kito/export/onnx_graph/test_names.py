"""An ONNX graph is renamed and reordered, and computes what it did."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from kito.export.onnx_graph.names import make_canonical

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL


def branching(prefix: str, reverse: bool) -> Any:
    """y = if any(x > 0): (x + 1) * 2 else x + 3, its bodies with names from outside."""

    def value(name: str, kind: int = FLOAT, shape: Any = ("unk__1", 2)) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    def constant(name: str, number: float) -> Any:
        return helper.make_tensor(f"{prefix}{name}", FLOAT, [1], [number])

    def node(kind: str, takes: list[str], gives: str, **attributes: Any) -> Any:
        return helper.make_node(kind, [f"{prefix}{x}" for x in takes], [gives], **attributes)

    p = prefix
    yes = helper.make_graph(
        [node("Add", ["x2", "one"], f"{p}a"), node("Mul", ["a", "two"], f"{p}b")],
        "yes",
        [],
        [value(f"{p}b")],
        [constant("two", 2.0)],
    )
    no = helper.make_graph([node("Add", ["x2", "three"], f"{p}c")], "no", [], [value(f"{p}c")])
    nodes = [
        helper.make_node("Identity", ["x"], [f"{p}x2"]),
        node("Greater", ["x2", "zero"], f"{p}g"),
        node("Cast", ["g"], f"{p}i", to=FLOAT),
        node("ReduceMax", ["i"], f"{p}m", keepdims=0),
        node("Cast", ["m"], f"{p}if", to=BOOL),
        helper.make_node("If", [f"{p}if"], ["y"], then_branch=yes, else_branch=no),
        helper.make_node("Neg", ["y"], ["z"]),
        helper.make_node("Neg", ["x"], [f"{p}unused"]),
    ]
    constants = [constant("one", 1.0), constant("three", 3.0), constant("zero", 0.0)]
    if reverse:
        constants.reverse()
        nodes[-1], nodes[-2] = nodes[-2], nodes[-1]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("z"), value("y")], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def run(model: Any, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(["y", "z"], {"x": x}))


def test_what_it_computes_stays_and_its_names_are_forgotten() -> None:
    first, second = branching("n__12_", False), branching("other__7_", True)
    samples = [np.array([[1.0, -2.0]], "float32"), np.array([[-1.0, -2.0]], "float32")]
    expected = [run(first, x) for x in samples]
    for model in (first, second):
        make_canonical(model.graph, ["y", "z"])
        onnx.checker.check_model(model, full_check=True)
        for x, values in zip(samples, expected, strict=True):
            np.testing.assert_array_equal(run(model, x), values)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
    assert [x.name for x in first.graph.output] == ["y", "z"]
    assert "__" not in str(first)
    assert "unused" not in str(first)


def test_of_one_tensor_given_twice_the_first_is_no_copy() -> None:
    def twice(real: str, copy: str) -> Any:
        value = helper.make_tensor_value_info
        nodes = [
            helper.make_node("Neg", ["x"], [real]),
            helper.make_node("Identity", [real], [copy]),
            helper.make_node("Abs", [real], ["n"]),
        ]
        outputs = [value(name, FLOAT, [None, 2]) for name in ("y", "z", "n")]
        graph = helper.make_graph(nodes, "g", [value("x", FLOAT, [None, 2])], outputs)
        make_canonical(graph, ["y", "z", "n"])
        return graph

    assert twice("y", "z") == twice("z", "y")
