"""One model of another package: how it is built, how it is called, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kito.runtime.batch import Inputs, input_tensors
from kito.runtime.random_inputs import random_inputs

VOCABULARY = 32
"""The number of tokens of every text model."""

NO_FLOAT64 = "it casts to float32 inside, so that float64 cannot judge"

Draw = Callable[[np.random.Generator, int], NDArray[Any]]
"""From a generator and the number of samples to the values of one input."""


@dataclass(frozen=True)
class Foreign:
    """A model, small, with random weights, and what reducing it must give."""

    name: str
    package: str
    build: Callable[[], Any]
    batchnorms: int = 0
    """BatchNormalization layers that the reduced model still has."""
    reason: str = ""
    """Why they stay; must be given where ``batchnorms`` is not 0."""
    refused: str = ""
    """Why it cannot be reduced at all: a part of the message of the error."""
    unsaved: str = ""
    """Why the package cannot save it: a part of the message of the error, reduced or not."""
    directly: str = ""
    """Why ``kito.compare`` cannot compare it: the outputs of one call are compared then."""
    random: bool = False
    """Its outputs are drawn at random: the same for the same state of its random generators."""
    reference: str | None = "float64"
    """None where the model cannot run in float64: the default tolerance judges then."""
    rtol: float | None = None
    """A tolerance relative to each output's scale; None for that of ``kito.compare``."""
    note: str = ""
    """What a reader of the table should know, such as why there is no float64."""
    size: int = 64
    """The sides of the images where the model leaves them open."""
    length: int = 8
    """Any other size that the model leaves open, such as the number of tokens."""
    samples: int = 16
    """Over fewer, the ratio of two rounding errors is too uncertain for the float64 judge."""
    high: float = 1.0
    """The largest value of float inputs."""
    draw: Mapping[str, Draw] = field(default_factory=dict)
    """Inputs, by name, that need values of their own kind."""
    raw: Callable[[], Any] | None = None
    """What ``predict`` of a task with a preprocessor takes."""

    def __post_init__(self) -> None:
        assert bool(self.batchnorms) == bool(self.reason), f"{self.name}: a number and its reason"

    @property
    def id(self) -> str:
        """Its name in the list of tests."""
        return f"{self.package}-{self.name}"

    def inputs(self, model: Any) -> Inputs:
        """Seeded samples by input name, as the model takes them."""
        tensors = input_tensors(model)
        shapes = {name: self._sizes(tensor.shape[1:]) for name, tensor in tensors.items()}
        values = random_inputs(model, samples=self.samples, seed=1, shape=shapes, high=self.high)
        rng = np.random.default_rng(1)
        for name, tensor in tensors.items():
            if name in self.draw:
                values[name] = self.draw[name](rng, self.samples)
            elif name.endswith("padding_mask"):
                values[name] = padding_mask(rng, values[name])
            elif name.endswith("token_ids"):
                values[name] = rng.integers(1, VOCABULARY, values[name].shape).astype(
                    keras.backend.standardize_dtype(tensor.dtype)
                )
        return values

    def _sizes(self, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        image = len(shape) == 3 and shape[-1] is not None
        return tuple((self.size if image else self.length) if x is None else x for x in shape)


def padding_mask(rng: np.random.Generator, like: NDArray[Any]) -> NDArray[Any]:
    """Ones, then zeros: of each sample another number, but the first, which is full."""
    length = like.shape[-1]
    lengths = rng.integers((length + 1) // 2, length + 1, like.shape[:-1])
    lengths[0] = length
    mask: NDArray[Any] = np.arange(length) < lengths[..., None]
    return mask.astype(like.dtype)


def constant(values: Any, dtype: str = "int32") -> Draw:
    """The same values for every sample."""
    return lambda rng, samples: np.repeat(np.asarray(values, dtype)[None], samples, axis=0)


def integers(low: int, high: int, shape: tuple[int, ...] = ()) -> Draw:
    """Integers in [low, high) of this shape, without the samples."""
    return lambda rng, samples: rng.integers(low, high, (samples, *shape)).astype("int32")


def floats(shape: tuple[int, ...], high: float = 1.0) -> Draw:
    """Floats in [0, high) of this shape, without the samples."""
    return lambda rng, samples: rng.uniform(0, high, (samples, *shape)).astype("float32")
