"""Keras' ``model.export`` without its side effects: changed layers, warnings, output."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras
from keras import tree

from kito.graph.keras_internals import all_layers, input_names
from kito.graph.keras_patches import inlined_xla_functions, plain_constants


def export(model: Any, path: Path, keras_format: str) -> None:
    """Export a model for inference on batches of any size; ``model`` is left unchanged.

    Args:
        model: a functional or Sequential model.
        path: the file or folder to write.
        keras_format: Keras' name of the format.

    Raises:
        Exception: whatever the exporter raises.
    """
    layers = [model, *all_layers(model)]
    before = [set(vars(layer)) for layer in layers]
    try:
        with warnings.catch_warnings(), plain_constants(layers), _scope(keras_format):
            # Keras tests for an alias that NumPy has removed, to set it for tf2onnx.
            warnings.filterwarnings("ignore", r"In the future `np\.object`", FutureWarning)
            # TensorFlow's converters use deprecated features of Python and Protobuf.
            warnings.simplefilter("ignore", DeprecationWarning)
            model.export(
                str(path), format=keras_format, verbose=False, input_signature=_signature(model)
            )
    finally:
        # TensorFlow's saver sets these attributes of each layer to None.
        for layer, known in zip(layers, before, strict=True):
            for name in ("train_function", "test_function", "predict_function"):
                if name not in known:
                    vars(layer).pop(name, None)


def _scope(keras_format: str) -> AbstractContextManager[None]:
    """tf2onnx stops at a compiled function; OpenVINO and LiteRT look into it."""
    return inlined_xla_functions() if keras_format == "onnx" else nullcontext()


def _signature(model: Any) -> list[Any]:
    """The one argument of ``model``: its named inputs, for any number of samples."""
    specs = [
        keras.InputSpec(shape=(None, *x.shape[1:]), dtype=x.dtype, name=name)
        for x, name in zip(model.inputs, input_names(model), strict=True)
    ]
    return [
        specs[0]
        if isinstance(model, keras.Sequential)
        else tree.pack_sequence_as(model.input, specs)
    ]
