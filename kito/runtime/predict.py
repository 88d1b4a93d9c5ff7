"""``predict(batch)``: a model, or a file that an engine has loaded, on any number of samples."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError
from kito.runtime.batch import (
    Inputs,
    batch_limit,
    batches,
    input_tensors,
    optional_inputs,
    sample_count,
    samples_at_once,
)
from kito.runtime.inputs import resolve_inputs
from kito.runtime.pair import as_functional_pair, renamed_inputs
from kito.runtime.run import run

_BATCH_SIZE = 256
"""The most samples per call; models with large inputs get fewer."""


class Predictor:
    """Runs a model in inference, in batches that bound the memory.

    Its inputs and outputs are those of the original: what works for the original works for the
    reduced model and for each of its files.

    Attributes:
        calls: how often it was called.
        fed: a checksum of all inputs so far.
        returned: a checksum of all outputs so far.
    """

    def __init__(self, model: Any, original: Any) -> None:
        """Prepare a model.

        Args:
            model: a Keras model, or a :class:`kito.runtime.engine.LoadedFile`.
            original: the Keras model that it stands for; it may be ``model`` itself.

        Raises:
            UnsupportedModelError: a model cannot be made functional.
        """
        self._original, self._model = as_functional_pair(original, model)
        self._structure = _returned(self._original)
        self.calls = 0
        self.fed = self.returned = 0

    @property
    def takes(self) -> dict[str, bool]:
        """For each input's name, whether a call needs it."""
        optional = optional_inputs(self._original)
        return {name: name not in optional for name in input_tensors(self._original)}

    def __call__(self, batch: Any) -> Any:
        """Run the model.

        Args:
            batch: one array, a dict of arrays by input name, or the structure that the original is
                called with; shapes (samples, ...), any number of samples.

        Returns:
            Arrays of shape (samples, ...) in the structure that the original returns: one array, a
            list or a dict. They belong to the caller.

        Raises:
            KitoError: the batch does not fit the original's inputs, the model cannot be run on it,
                or an output does not have a row for each sample.
        """
        self.calls += 1
        if batch is None or callable(batch) or isinstance(batch, str | bytes):
            kind = "None" if batch is None else f"an object of type {type(batch).__name__}"
            raise KitoError(f"predict takes an array or a dict of arrays by input name, not {kind}")
        inputs = resolve_inputs(self._original, batch)
        self.fed = _checksum(inputs, self.fed)
        size = batch_limit(self._original, samples_at_once(inputs, _BATCH_SIZE))
        parts = [self._run(part) for part in batches(inputs, size)]
        try:
            outputs = [np.concatenate(values) for values in zip(*parts, strict=True)]
        except ValueError as error:
            raise KitoError(
                f"the outputs of '{self._model.name}' cannot be joined: their shapes differ from "
                f"batch to batch ({error}); call predict with at most {size} samples"
            ) from error
        self.returned = _checksum(dict(enumerate(outputs)), self.returned)
        return tree.pack_sequence_as(self._structure, outputs)

    def _run(self, batch: Inputs) -> list[np.ndarray]:
        outputs = run(self._model, renamed_inputs(batch, self._original, self._model))
        count = sample_count(batch)
        shapes = [values.shape for values in outputs]
        if any(shape[:1] != (count,) for shape in shapes):
            raise KitoError(
                f"'{self._model.name}' returns outputs of shapes {shapes} for {count} samples: "
                "predict needs outputs whose first axis holds the samples"
            )
        return outputs


def _returned(model: Any) -> Any:
    """The structure that a call of the model returns: Keras unpacks a list of one output."""
    structure = model.outputs if isinstance(model, keras.Sequential) else model.output
    single = isinstance(structure, list | tuple) and len(structure) == 1
    return structure[0] if single else structure


def _checksum(arrays: Mapping[Any, np.ndarray], start: int) -> int:
    for values in arrays.values():
        text = values.dtype.kind in "OSU"  # objects have no bytes of their own
        start = zlib.crc32(repr(values.tolist()).encode() if text else values.tobytes(), start)
    return start
