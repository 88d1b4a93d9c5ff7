"""The interface to a backend of Keras: what timing and computing in float64 need of it.

The parts for GPUs were run on one NVIDIA GPU with JAX and PyTorch; those of TensorFlow are tested
with a simulated GPU only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import keras

Jit = Literal["auto", "on", "off"]
"""Whether XLA compiles the calls; :func:`kito.runtime.devices.uses_jit` says what ``auto`` is."""


class Backend(Protocol):
    """A backend of Keras, as far as kito needs it."""

    def prepare(self, kind: str) -> None:
        """Choose the CPU, or share the memory of a GPU, before anything is computed.

        Args:
            kind: ``cpu``, ``gpu`` or ``auto``.

        Raises:
            KitoError: the CPU is requested, and it is too late to choose it.
        """

    def version(self) -> str:
        """The backend's version."""

    def gpu_names(self) -> list[str]:
        """The names of the GPUs that it can use; the one that it uses goes first."""

    def threads(self) -> int | None:
        """How many threads one operation may use; None where the backend does not say."""

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        """Whether XLA compiles the calls of this model.

        Args:
            model: a built model.
            wanted: what the user requests.
            kind: ``cpu`` or ``gpu``.

        Raises:
            KitoError: this backend cannot do what is wanted.
        """

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        """A function that copies ``arguments`` to the device, and returns when that is done."""

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        """A traced inference call on ``arguments`` held by the device; it waits for the result.

        Args:
            model: a built model.
            arguments: arrays in the structure that the model takes.
            kind: ``cpu`` or ``gpu``.
            jit: whether XLA compiles it, from :meth:`jit`.
        """

    def full_float32(self) -> AbstractContextManager[None]:
        """A scope in which products of float32 are not computed in TF32, as GPUs may do."""

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        """The kind of device to compute in float64 on: a GPU that supports it, else the CPU."""

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        """A scope in which float64 is not reduced to float32, on that kind of device."""


def on_device(kind: str) -> AbstractContextManager[Any]:
    """A scope in which Keras builds and computes on the first device of this kind."""
    device: AbstractContextManager[Any] = keras.device(f"{kind}:0")
    return device
