"""A model's inputs and outputs by name: exporters and engines each have an order of their own.

TensorFlow sorts the entries of a dict, LiteRT numbers outputs in the order of conversion, ONNX
calls outputs ``Identity``. So ONNX, OpenVINO and LiteRT get a model whose outputs are named, and
the values that their engines return are put together by these names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError
from kito.graph.functional import as_functional
from kito.graph.keras_internals import input_names, output_names


@dataclass(frozen=True)
class Interface:
    """The names and the structure of a model's inputs and outputs.

    Attributes:
        inputs: names in the model's order.
        outputs: names in the model's order: the keys of a dict of outputs, else those of the
            layers that make them.
        structure: the model's outputs as it returns them, with anything as leaves.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    structure: Any

    @classmethod
    def of(cls, model: Any) -> Interface:
        """The interface of a functional or Sequential model."""
        inputs, outputs = tuple(input_names(model)), tuple(output_names(model))
        structure = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
        if isinstance(structure, dict):
            paths = [path for path, _ in tree.flatten_with_path(structure)]
            if all(len(path) == 1 for path in paths):
                outputs = tuple(str(path[0]) for path in paths)
        return cls(inputs, outputs, structure)

    def with_named_outputs(self, model: Any) -> Any:
        """A model that returns a dict of outputs under these names and shares ``model``'s layers.

        Raises:
            KitoError: ``model`` has other input names, or another number of outputs.
        """
        functional = as_functional(model)
        names, count = tuple(input_names(functional)), len(functional.outputs)
        if names != self.inputs or count != len(self.outputs):
            raise KitoError(
                f"'{model.name}' takes {list(names)} and returns {count} outputs, the original "
                f"takes {list(self.inputs)} and returns {len(self.outputs)}"
            )
        inputs = functional.inputs if len(names) > 1 else functional.inputs[0]
        results = functional.outputs
        if functional is not model:
            # The functional form of a subclassed model: its own call left no record, so call it.
            results = tree.flatten(functional(functional.input))
        outputs = dict(zip(self.outputs, results, strict=True))
        return keras.Model(inputs, outputs, name=functional.name)

    def check(self, file: str, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        """Check that a file has these inputs and outputs. It may leave out inputs.

        Raises:
            KitoError: the file takes an input that the model does not have, or returns other
                outputs.
        """
        takes, returns = list(inputs), list(outputs)
        if not set(takes) <= set(self.inputs) or set(returns) != set(self.outputs):
            raise KitoError(
                f"'{file}' takes {takes} and returns {returns}, the original takes "
                f"{list(self.inputs)} and returns {list(self.outputs)}: the format changes such "
                "names; use letters, digits and '_' in the names of inputs and outputs"
            )

    def pack(self, values: Mapping[str, np.ndarray]) -> Any:
        """Put named outputs into the structure in which the model returns them."""
        return tree.pack_sequence_as(self.structure, [values[name] for name in self.outputs])
