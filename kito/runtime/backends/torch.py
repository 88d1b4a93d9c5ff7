"""The PyTorch backend; the parts for GPUs were tested on one NVIDIA GPU."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError, describe
from kito.runtime.backends.protocol import Jit
from kito.runtime.freed_memory import keep_freed_memory


class Torch:
    """Calls run in ``torch.inference_mode``: as they come, or compiled by ``torch.compile``."""

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
        # PyTorch itself, and Keras on it, compile on request only.
        return wanted == "on"

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
        if kind == "cpu":
            keep_freed_memory()
        batch = self._place(arguments, kind)
        infer = self._compiled(model, batch, kind) if jit else _inference(model)

        def call() -> None:
            # Keras places tensors that it creates itself on the device of this scope.
            with torch.inference_mode(), _on_device(kind):
                infer(batch)
            if kind == "gpu":
                torch.cuda.synchronize()

        return call

    def _compiled(self, model: keras.Model, batch: Any, kind: str) -> Callable[[Any], Any]:
        """The model as one compiled function.

        ``torch.compile`` does not see through the calls of Keras' layers, and would compile each
        piece between them. It compiles the exported program, which holds PyTorch's operations only.
        """
        torch = self._torch
        try:
            with warnings_ignored(), _on_device(kind):
                with torch.no_grad():
                    program = torch.export.export(self._module(model), (batch,), strict=False)
                compiled: Callable[[Any], Any]
                compiled = torch.compile(program.module(), fullgraph=True, dynamic=False)
                with torch.inference_mode():
                    compiled(batch)
        except Exception as error:  # any layer, and the compiler, may raise anything
            raise KitoError(
                f"PyTorch cannot compile model '{model.name}' as a whole: {describe(error)}; set "
                "jit: auto or off"
            ) from error
        return compiled

    def _module(self, model: keras.Model) -> Any:
        """A module that calls the model in inference; it changes nothing in it."""
        infer = _inference(model)

        class Inference(self._torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.model = model  # so that the exporter finds its weights

            def forward(self, batch: Any) -> Any:
                return infer(batch)

        return Inference()

    @contextmanager
    def full_float32(self) -> Iterator[None]:
        flags = self._torch.backends.cudnn, self._torch.backends.cuda.matmul
        try:
            before = [flag.allow_tf32 for flag in flags]
        except RuntimeError:  # the user has set them one by one, by fp32_precision: leave them
            yield
            return
        for flag in flags:
            flag.allow_tf32 = False
        try:
            yield
        finally:
            for flag, value in zip(flags, before, strict=True):
                flag.allow_tf32 = value

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        # Keras may use Apple's GPU, which has no float64.
        return "gpu" if self._torch.cuda.is_available() else "cpu"

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        return _on_device(kind)


def _on_device(kind: str) -> AbstractContextManager[Any]:
    """A scope in which Keras builds and computes on the first device of this kind.

    Keras moves every tensor that it takes to the device of the scope. To move it to ``cpu:0``
    copies it, at each call, and makes a weight a plain tensor; to move it to ``cpu`` does nothing.
    """
    device: AbstractContextManager[Any] = keras.device("cpu" if kind == "cpu" else f"{kind}:0")
    return device


def _inference(model: keras.Model) -> Callable[[Any], Any]:
    return lambda batch: model(batch, training=False)


@contextmanager
def warnings_ignored() -> Iterator[None]:
    """PyTorch's compiler warns of what PyTorch itself deprecates, and gives advice on speed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
