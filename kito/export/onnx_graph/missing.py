"""TensorFlow's operators that tf2onnx cannot convert, and models often have."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_missing_conversions() -> None:
    """Teach tf2onnx what it does not know yet; its own conversion of an operator stays."""
    from tf2onnx.handler import tf_op

    known = {name for versions in tf_op.get_opsets().values() for ops in versions for name in ops}
    if "Erfc" not in known:
        tf_op("Erfc")(_Erfc)


class _Erfc:
    """``erfc(x) = 1 - erf(x)``: half of ``keras.activations.gelu``."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """For opset 9 and later, which have Erf."""
        from tf2onnx.utils import map_onnx_to_numpy_type

        [output] = node.output
        shape, dtype = graph.get_shape(output), graph.get_dtype(output)
        one = graph.make_const(f"{node.name}/one", np.ones((), map_onnx_to_numpy_type(dtype)))
        erf = graph.make_node("Erf", list(node.input), shapes=[shape], dtypes=[dtype])
        graph.remove_node(node.name)
        inputs = [one.output[0], erf.output[0]]
        graph.make_node(
            "Sub", inputs, outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype]
        )
