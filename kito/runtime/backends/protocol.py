"""What Keras computes with, behind one small interface: TensorFlow, JAX or PyTorch.

It is what timing needs of them, and what computing in float64 does. Nobody of us had a GPU: those
lines are written to the backends' documented interfaces and tested with a simulated device only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import keras

Jit = Literal["auto", "on", "off"]
"""Whether calls are compiled by XLA; ``auto``: as the backend's own ``predict`` would have it."""


class Backend(Protocol):
    """What kito needs to know of a backend."""

    def prepare(self, kind: str) -> None:
        """Before anything is on a device: have the CPU chosen, or a GPU's memory shared.

        Args:
            kind: ``cpu``, ``gpu`` or ``auto``.

        Raises:
            KitoError: the CPU is asked for, and it is too late to choose it.
        """

    def version(self) -> str:
        """The backend's version."""

    def gpu_names(self) -> list[str]:
        """The names of the GPUs that it can use, the one that it uses first."""

    def threads(self) -> int | None:
        """How many threads one operation may use; None where it does not tell."""

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        """Whether the calls of this model are to be compiled by XLA.

        Raises:
            KitoError: what is wanted is not to be had with this backend.
        """

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        """Bringing ``arguments`` from the host to the device, waiting for the end of it."""

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        """One inference call, traced, on ``arguments`` held by the device, that waits for its end.

        Args:
            model: a built model.
            arguments: arrays in the structure that the model takes.
            kind: ``cpu`` or ``gpu``.
            jit: what :meth:`jit` said.
        """

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        """The kind of device to compute in float64 on: the GPU, where there is one that can."""

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        """Where float64 is float64: what is built and called in it is on that kind of device."""


def on_device(kind: str) -> AbstractContextManager[Any]:
    device: AbstractContextManager[Any] = keras.device(f"{kind}:0")
    return device
