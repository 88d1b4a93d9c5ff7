"""The PyTorch backend; the parts for GPUs are tested with a simulated GPU only."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError
from kito.runtime.backends.protocol import Jit, on_device


class Torch:
    """Calls run in ``torch.inference_mode``."""

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")

    def prepare(self, kind: str) -> None:
        # PyTorch takes memory as needed. Keras chooses the device when it is imported.
        if kind == "cpu" and self.gpu_names():
            raise KitoError(
                "Keras on PyTorch is on the GPU already: set CUDA_VISIBLE_DEVICES=-1 to run on "
                "the CPU"
            )

    def version(self) -> str:
        return str(self._torch.__version__)

    def gpu_names(self) -> list[str]:
        cuda = self._torch.cuda
        if not cuda.is_available():
            return []
        return [str(cuda.get_device_name(index)) for index in range(cuda.device_count())]

    def threads(self) -> int | None:
        return int(self._torch.get_num_threads())

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        if wanted == "on":
            raise KitoError("PyTorch runs without XLA: set jit: auto or off")
        return False

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        def call() -> None:
            self._place(arguments, kind)
            if kind == "gpu":
                self._torch.cuda.synchronize()

        return call

    def _place(self, arguments: Any, kind: str) -> Any:
        def place(array: np.ndarray | None) -> Any:
            if array is None:  # an optional input that is left out
                return None
            return self._torch.tensor(array, device="cpu" if kind == "cpu" else "cuda")

        return tree.map_structure(place, arguments)

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        torch = self._torch
        batch = self._place(arguments, kind)

        def call() -> None:
            # Keras places tensors that it creates itself on the device of this scope.
            with torch.inference_mode(), keras.device(f"{kind}:0"):
                model(batch, training=False)
            if kind == "gpu":
                torch.cuda.synchronize()

        return call

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        # Keras may use Apple's GPU, which has no float64.
        return "gpu" if self._torch.cuda.is_available() else "cpu"

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        return on_device(kind)
