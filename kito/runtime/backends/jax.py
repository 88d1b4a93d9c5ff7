"""The JAX backend; the parts for GPUs were tested on one NVIDIA GPU."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import keras

from kito.errors import KitoError
from kito.runtime.backends.protocol import Jit, on_device


class Jax:
    """Calls are ``jax.jit`` of the model's ``stateless_call``, with its weights as arguments."""

    def __init__(self) -> None:
        self._jax = importlib.import_module("jax")

    def prepare(self, kind: str) -> None:
        if kind == "cpu":
            self._jax.config.update("jax_platforms", "cpu")
        # JAX reads this when it starts on a GPU; otherwise it takes three quarters of the memory.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    def version(self) -> str:
        return str(self._jax.__version__)

    def gpu_names(self) -> list[str]:
        try:
            return [str(device.device_kind) for device in self._jax.devices("gpu")]
        except RuntimeError:  # JAX raises where there is no GPU
            return []

    def threads(self) -> int | None:
        return None

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        if wanted == "off":
            raise KitoError("JAX compiles with XLA only: set jit: auto or on")
        return True

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        jax = self._jax
        device = jax.devices(kind)[0]
        return lambda: jax.block_until_ready(jax.device_put(arguments, device))

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = True
    ) -> Callable[[], None]:
        jax = self._jax
        trainable = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]
        values = jax.device_put((trainable, others, arguments), jax.devices(kind)[0])

        def infer(trainable: Any, others: Any, batch: Any) -> Any:
            return model.stateless_call(trainable, others, batch, training=False)[0]

        compiled = jax.jit(infer).lower(*values).compile()

        def call() -> None:
            jax.block_until_ready(compiled(*values))

        return call

    def full_float32(self) -> AbstractContextManager[None]:
        scope: AbstractContextManager[None] = self._jax.default_matmul_precision("highest")
        return scope

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        # JAX has other names for TPUs and Apple's GPUs, which have no float64.
        return "gpu" if self._jax.default_backend() == "gpu" else "cpu"

    @contextlib.contextmanager
    def float64(self, kind: str) -> Iterator[None]:
        # Without enable_x64 (its name since JAX 0.8), JAX silently turns float64 into float32.
        enable = getattr(self._jax, "enable_x64", None)
        if enable is None:
            enable = importlib.import_module("jax.experimental").enable_x64
        with enable(True), on_device(kind):
            yield
