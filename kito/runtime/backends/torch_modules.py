"""PyTorch modules, whatever backend Keras uses; the parts for GPUs are untested."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

from kito.errors import KitoError, describe
from kito.graph.torch_model import TorchModel
from kito.runtime.backends.torch import Torch, warnings_ignored
from kito.runtime.freed_memory import keep_freed_memory


class TorchModules(Torch):
    """Calls run the module in ``torch.inference_mode``, or compiled by ``torch.compile``."""

    def prepare(self, kind: str) -> None:
        """Nothing: a module is on the device that it was put on, and its copy on any other."""

    def compiled_call(
        self, model: Any, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        torch = self._torch
        device = "cpu" if kind == "cpu" else "cuda"
        assert isinstance(model, TorchModel)
        if kind == "cpu":
            keep_freed_memory()
        module = model.frozen
        if any(x.device.type != device for x in (*module.parameters(), *module.buffers())):
            module = copy.deepcopy(module).to(device)
        batch = [x.to(device) for x in model.tensors(arguments)]
        infer = self._compiled_module(module, batch, model.name) if jit else module

        def call() -> None:
            with torch.inference_mode():
                infer(*batch)
            if kind == "gpu":
                torch.cuda.synchronize()

        return call

    def _compiled_module(self, module: Any, batch: list[Any], name: str) -> Callable[..., Any]:
        torch = self._torch
        try:
            with warnings_ignored(), torch.inference_mode():
                compiled: Callable[..., Any] = torch.compile(module, dynamic=False)
                compiled(*batch)
        except Exception as error:  # a module, and the compiler, may raise anything
            raise KitoError(
                f"torch.compile fails on module '{name}': {describe(error)}; set jit: auto or off"
            ) from error
        return compiled

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        return "cpu"  # where TorchModel.in_float64() computes
